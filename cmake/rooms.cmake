# How rooms, tests and fuzz targets are declared. A room is one OBJECT library;
# `qube_objects` joins them all, tests link the rooms that they name.
set(QUBE_ROOMS "" CACHE INTERNAL "")

# qube_room(NAME SOURCES a.c ... [LIBS targets...])
function(qube_room name)
	cmake_parse_arguments(R "" "" "SOURCES;LIBS" ${ARGN})
	add_library(qube_room_${name} OBJECT ${R_SOURCES})
	target_link_libraries(qube_room_${name} PRIVATE qube_flags ${R_LIBS})
	set_property(TARGET qube_room_${name} PROPERTY POSITION_INDEPENDENT_CODE ON)
	set_property(TARGET qube_room_${name} PROPERTY QUBE_LIBS "${R_LIBS}")
	set(QUBE_ROOMS "${QUBE_ROOMS};${name}" CACHE INTERNAL "")
endfunction()

# Links target with the objects and third-party libraries of the named rooms.
function(qube_use_rooms target)
	foreach(room ${ARGN})
		target_sources(${target} PRIVATE $<TARGET_OBJECTS:qube_room_${room}>)
		get_target_property(libs qube_room_${room} QUBE_LIBS)
		if(libs)
			target_link_libraries(${target} PRIVATE ${libs})
		endif()
	endforeach()
endfunction()

# qube_test(NAME ROOMS r... SOURCES a.c ... [LIBS t...] [ARGS ...] [TIMEOUT s] [LABELS l...])
# C test bodies (tests/qtest.h) handed to GoogleTest; one ctest entry an executable.
function(qube_test name)
	cmake_parse_arguments(T "" "TIMEOUT" "ROOMS;SOURCES;LIBS;LABELS;ARGS" ${ARGN})
	add_executable(test_${name} ${T_SOURCES} ${PROJECT_SOURCE_DIR}/tests/qtest.cc)
	target_link_libraries(test_${name} PRIVATE qube_flags GTest::gtest ${T_LIBS})
	target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
	target_compile_definitions(test_${name} PRIVATE
		QUBE_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}/tests"
		QUBE_TEST_BIN_DIR="${PROJECT_BINARY_DIR}/bin")
	qube_use_rooms(test_${name} ${T_ROOMS})
	set_target_properties(test_${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	add_test(NAME ${name} COMMAND test_${name} ${T_ARGS})
	if(NOT T_TIMEOUT)
		set(T_TIMEOUT 120)
	endif()
	set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "unit;${T_LABELS}"
		SKIP_REGULAR_EXPRESSION "^SKIP: ")
endfunction()

# qube_oom_test(NAME ROOMS r... SOURCES a.c ... [...]): a qube_test() named oom_NAME in which
# qtest_oom_arm() makes allocations fail. Works under the sanitizers: --wrap renames our objects'
# references only, and __real_malloc is then the sanitizer's malloc. Not for QUBE_FUZZ builds.
function(qube_oom_test name)
	qube_test(oom_${name} ${ARGN})
	target_sources(test_oom_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/oom/wrap.c)
	foreach(f malloc calloc realloc reallocarray aligned_alloc posix_memalign strdup strndup
		asprintf vasprintf opendir fdopendir)
		target_link_options(test_oom_${name} PRIVATE -Wl,--wrap=${f})
	endforeach()
	set_property(TEST oom_${name} APPEND PROPERTY LABELS oom)
endfunction()

# qube_fuzz(NAME ROOMS r... SOURCES fuzz_x.c [CORPUS dir])
# With QUBE_FUZZ a libFuzzer binary, else a driver that replays the corpus under ctest.
function(qube_fuzz name)
	cmake_parse_arguments(F "" "CORPUS" "ROOMS;SOURCES;LIBS" ${ARGN})
	if(NOT F_CORPUS)
		set(F_CORPUS ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
	endif()
	# tests/run.sh reads the place of the seeds from here.
	file(WRITE ${PROJECT_BINARY_DIR}/fuzz/${name}.corpus "${F_CORPUS}\n")
	add_executable(fuzz_${name} ${F_SOURCES})
	target_link_libraries(fuzz_${name} PRIVATE qube_flags ${F_LIBS})
	qube_use_rooms(fuzz_${name} ${F_ROOMS})
	if(NOT TARGET fuzzers)
		add_custom_target(fuzzers)
	endif()
	add_dependencies(fuzzers fuzz_${name})
	set_target_properties(fuzz_${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
	if(QUBE_FUZZ)
		target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
	else()
		target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
	endif()
	add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${F_CORPUS}
		WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
	if(QUBE_FUZZ)
		set_tests_properties(fuzz_${name} PROPERTIES DISABLED TRUE)
	endif()
	set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
