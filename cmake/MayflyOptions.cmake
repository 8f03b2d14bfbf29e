# What a build can be asked for. Presets set these; see CMakePresets.json.
option(MAYFLY_BUILD_TESTS "Build the tests" ON)
option(MAYFLY_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(MAYFLY_COVERAGE "Instrument for gcov" OFF)
set(MAYFLY_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# -O2 with line tables: a crash's backtrace names files and lines, at a tenth of full debug information.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")

find_program(CCACHE ccache)
if(CCACHE)
  # hash_dir=false and base_dir let checkouts in different folders share what they compiled.
  set(mayfly_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=true
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${mayfly_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${mayfly_launcher})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()
add_link_options(-Wl,--gc-sections)
add_compile_options(-ffunction-sections -fdata-sections)

if(MAYFLY_SANITIZE)
  add_compile_options(-fsanitize=${MAYFLY_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MAYFLY_SANITIZE})
  if(MAYFLY_BUILD_TESTS AND MAYFLY_SANITIZE MATCHES "address")
    # Optimizing these checks costs nearly as much as all the rest of compiling: 16 s a file instead of 9.
    add_compile_options(-O0)
  endif()
endif()
if(MAYFLY_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # ThreadSanitizer does not model fences. Ours stand between atomics only, which it never takes for races.
  add_compile_options(-Wno-tsan)
endif()
if(MAYFLY_BUILD_FUZZERS)
  # A fuzzer is blind in code that does not report its branches.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(MAYFLY_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()

# Warnings are errors in our own code; headers of others are SYSTEM.
add_library(mayfly_warnings INTERFACE)
target_compile_options(mayfly_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor> $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
                       -Wcast-qual -Wundef -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(mayfly_warnings INTERFACE -Wthread-safety)
endif()
