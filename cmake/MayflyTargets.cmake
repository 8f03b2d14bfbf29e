# How Mayfly's own targets are declared.

# mayfly_library(runtime_loader SOURCES a.cc DEPS mayfly::base [PRIVATE_DEPS …])
# makes the static library mayfly_runtime_loader with the alias mayfly::runtime_loader. A library whose SOURCES are
# empty holds headers only.
function(mayfly_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  if(arg_SOURCES)
    add_library(mayfly_${name} STATIC ${arg_SOURCES})
    target_include_directories(mayfly_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(mayfly_${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS} mayfly_warnings)
  else()
    add_library(mayfly_${name} INTERFACE)
    target_include_directories(mayfly_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(mayfly_${name} INTERFACE ${arg_DEPS})
  endif()
  add_library(mayfly::${name} ALIAS mayfly_${name})
endfunction()

# mayfly_program(mayfly-runtime SOURCES main.cc DEPS …) makes build/<preset>/bin/mayfly-runtime, which is installed.
function(mayfly_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} mayfly_warnings)
  install(TARGETS ${name} RUNTIME COMPONENT programs)
endfunction()

# mayfly_test(work_queue_test SOURCES work_queue_test.cc DEPS mayfly::operator_controller [RACE] [PATHS] [LABELS integration])
# makes a GoogleTest program, each of whose cases is one CTest test with a deadline. Tests lie beside what they test.
#   RACE                it has threads worth a look: `make tsan` runs it
#   PATHS               it uses MAYFLY_BIN_DIR, MAYFLY_SOURCE_DIR or MAYFLY_TEST_MODULE_DIR, by which each checkout compiles it anew
#   LABELS integration  it runs whole processes as users have them: alone on the machine, in the preset release. It has PATHS. Every other
#                       test is run under AddressSanitizer and UndefinedBehaviorSanitizer, in the preset dev
#   LABELS kubernetes   it needs the tools of tests/cluster: `make e2e` runs it, `make test` does not. One CTest test for
#                       the whole program, so that the cases of a suite can share an API server
function(mayfly_test name)
  if(NOT MAYFLY_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "PATHS;RACE" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set(properties TIMEOUT ${arg_TIMEOUT})
  if(arg_RACE)
    list(APPEND arg_LABELS race)
  endif()
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  # A list of labels does not survive gtest_discover_tests: the first one counts.
  list(GET arg_LABELS 0 label)
  list(APPEND properties LABELS ${label})
  if(label STREQUAL "integration")
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
  if(MAYFLY_SANITIZE MATCHES "undefined")
    # What only asserts is not worth half of the time in which a test is compiled: neither optimizing it, nor checks for undefined behaviour.
    target_compile_options(${name} PRIVATE -O0 -fno-sanitize=undefined)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if(arg_PATHS OR label STREQUAL "integration")
    target_compile_definitions(${name} PRIVATE MAYFLY_BIN_DIR="${CMAKE_BINARY_DIR}/bin" MAYFLY_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                               MAYFLY_TEST_MODULE_DIR="${CMAKE_BINARY_DIR}/test-modules")
  endif()
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main mayfly_warnings)
  if("kubernetes" IN_LIST arg_LABELS)
    add_dependencies(mayfly_kubernetes_tests ${name})
  elseif("integration" IN_LIST arg_LABELS)
    add_dependencies(mayfly_integration_tests ${name})
  else()
    add_dependencies(mayfly_unit_tests ${name})
  endif()
  if(arg_RACE)
    add_dependencies(mayfly_race_tests ${name})
  endif()
  if("kubernetes" IN_LIST arg_LABELS)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES LABELS kubernetes TIMEOUT 900)
    return()
  endif()
  include(GoogleTest)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${CMAKE_BINARY_DIR} PROPERTIES ${properties})
endfunction()

# The default target builds what users run. Beside it:
add_custom_target(mayfly_unit_tests)        # those of parts, which `make asan` runs
add_custom_target(mayfly_integration_tests) # those of whole programs
add_custom_target(mayfly_kubernetes_tests)  # those that `make e2e` runs
add_custom_target(mayfly_tests)             # all of these
add_dependencies(mayfly_tests mayfly_unit_tests mayfly_integration_tests mayfly_kubernetes_tests)
add_custom_target(mayfly_race_tests)        # those that `make tsan` runs
add_custom_target(mayfly_fuzzers)           # preset fuzz
add_custom_target(mayfly_benchmarks)        # tests/bench and *_benchmark.cc

# mayfly_benchmark(beast_hello SOURCES beast_hello.cc DEPS …) makes build/<preset>/bench/beast_hello, with `make bench` only.
function(mayfly_benchmark name)
  if(NOT MAYFLY_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} mayfly_warnings)
  add_dependencies(mayfly_benchmarks ${name})
endfunction()

# mayfly_fuzzer(manifest_fuzzer SOURCES … DEPS …) makes a libFuzzer program (preset fuzz). Its seeds are the files of
# tests/fuzz/corpus/manifest_fuzzer/, its dictionary tests/fuzz/manifest_fuzzer.dict; both may be absent.
function(mayfly_fuzzer name)
  if(NOT MAYFLY_BUILD_FUZZERS)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${arg_SOURCES})
  add_dependencies(mayfly_fuzzers ${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_libraries(${name} PRIVATE ${arg_DEPS} mayfly_warnings)
endfunction()
