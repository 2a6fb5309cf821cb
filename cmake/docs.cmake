# The reference of the public headers: `ctest -R ^docs$` fails on anything that is not documented,
# and leaves the pages in docs/html of the build.
find_program(QUBE_DOXYGEN doxygen)
if(QUBE_DOXYGEN)
	configure_file(${PROJECT_SOURCE_DIR}/docs/Doxyfile.in ${PROJECT_BINARY_DIR}/docs/Doxyfile
		@ONLY)
	add_test(NAME docs COMMAND ${QUBE_DOXYGEN} ${PROJECT_BINARY_DIR}/docs/Doxyfile)
	set_tests_properties(docs PROPERTIES LABELS lint TIMEOUT 120)
endif()
