# Installation: the library, its headers, libqube.pc, a CMake package, the programs. Included last by
# the top CMakeLists.txt; what has not been built (an option is off) is left out. The library's
# target is `libqube`, exported as libqube::qube; the static one is `libqube_static`.
include(CMakePackageConfigHelpers)

set(QUBE_PROGRAMS qube)			# for people: BINDIR
set(QUBE_DAEMONS qubed)			# SBINDIR
set(QUBE_HELPERS qube-box qube-worker)	# started by the library: LIBEXECDIR/qube
set(QUBE_GUEST qube-agent qube-rpc qube-pty qube-copy)	# put into guests: LIBEXECDIR/qube/guest
set(QUBE_LIBEXECDIR ${CMAKE_INSTALL_LIBEXECDIR}/qube)

# Below a prefix that the dynamic linker does not search, programs find the library from where they are
# themselves. In /usr it is found anyway, and packages carry no search path.
function(qube_install_rpath target dest)
	if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
		file(RELATIVE_PATH to_lib /p/${dest} /p/${CMAKE_INSTALL_LIBDIR})
		set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
	endif()
endfunction()

function(qube_install_programs dest)
	foreach(program ${ARGN})
		# A target may be called otherwise than its file: OUTPUT_NAME decides the file.
		foreach(target ${program} prog_${program})
			if(TARGET ${target})
				get_target_property(type ${target} TYPE)
				get_target_property(libraries ${target} LINK_LIBRARIES)
				if(type STREQUAL "EXECUTABLE")
					if("libqube" IN_LIST libraries)
						qube_install_rpath(${target} ${dest})
					endif()
					install(TARGETS ${target} RUNTIME DESTINATION ${dest})
				endif()
			endif()
		endforeach()
	endforeach()
endfunction()

foreach(library libqube libqube_static)
	if(TARGET ${library})
		string(REPLACE libqube qube name ${library})
		set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
		install(TARGETS ${library} EXPORT libqube-targets
			LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
			ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
			INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
		set(have_library ON)
	endif()
endforeach()

if(have_library)
	install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/qube DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
		FILES_MATCHING PATTERN "*.h")
	# The file finds the rest from where it is itself, wherever it was installed.
	file(RELATIVE_PATH QUBE_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
	configure_file(${PROJECT_SOURCE_DIR}/pkgconfig/libqube.pc.in
		${PROJECT_BINARY_DIR}/libqube.pc @ONLY)
	install(FILES ${PROJECT_BINARY_DIR}/libqube.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

	set(package ${CMAKE_INSTALL_LIBDIR}/cmake/libqube)
	write_basic_package_version_file(${PROJECT_BINARY_DIR}/libqube-config-version.cmake
		COMPATIBILITY SameMinorVersion)
	install(EXPORT libqube-targets NAMESPACE libqube:: FILE libqube-config.cmake
		DESTINATION ${package})
	install(FILES ${PROJECT_BINARY_DIR}/libqube-config-version.cmake DESTINATION ${package})
endif()

qube_install_programs(${CMAKE_INSTALL_BINDIR} ${QUBE_PROGRAMS})
qube_install_programs(${CMAKE_INSTALL_SBINDIR} ${QUBE_DAEMONS})
qube_install_programs(${QUBE_LIBEXECDIR} ${QUBE_HELPERS})
qube_install_programs(${QUBE_LIBEXECDIR}/guest ${QUBE_GUEST})
# The box injects the agent from here as well.
qube_install_programs(${QUBE_LIBEXECDIR} qube-agent)

# Where systemd looks is below its own prefix, "lib" whatever the distribution calls its libraries.
if(TARGET qubed)
	set(units ${PROJECT_SOURCE_DIR}/daemon/qubed/systemd)
	foreach(unit qubed.service qube-host.service)
		configure_file(${units}/${unit}.in ${PROJECT_BINARY_DIR}/systemd/${unit} @ONLY)
		install(FILES ${PROJECT_BINARY_DIR}/systemd/${unit} DESTINATION lib/systemd/system)
	endforeach()
	install(FILES ${units}/qubed.socket ${units}/qube-boxes.service DESTINATION lib/systemd/system)
	install(FILES ${units}/qube.sysusers DESTINATION lib/sysusers.d RENAME qube.conf)
	install(FILES ${units}/qube.tmpfiles DESTINATION lib/tmpfiles.d RENAME qube.conf)
endif()

file(GLOB manual CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page ${manual})
	string(REGEX REPLACE ".*\\.([1-8])$" "\\1" section ${page})
	install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
