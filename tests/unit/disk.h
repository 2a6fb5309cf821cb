/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file system of its own for a test. */
#ifndef UNIT_DISK_H
#define UNIT_DISK_H

/* Mounts an empty file system ("btrfs", "xfs", "ext4", "tmpfs", "overlay") of so many MiB at dir,
 * its root 0700. The process goes on with mounts of its own: however it ends, the mount ends too,
 * with it the loop device, and with that the image, which has no name. NULL, or why it cannot be.
 */
const char *disk_mount(const char *dir, const char *kind, unsigned int mebibytes);

#endif
