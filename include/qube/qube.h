/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file qube.h
 * Everything a program that manages qubes needs.
 */
#ifndef QUBE_QUBE_H
#define QUBE_QUBE_H

#include <qube/admin.h>
#include <qube/copy.h>
#include <qube/ctx.h>
#include <qube/domain.h>
#include <qube/error.h>
#include <qube/event.h>
#include <qube/host.h>
#include <qube/label.h>
#include <qube/op.h>
#include <qube/policy.h>
#include <qube/pool.h>
#include <qube/rpc.h>
#include <qube/template.h>
#include <qube/types.h>
#include <qube/volume.h>

#endif
