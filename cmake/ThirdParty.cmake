# Every library of others that Mayfly uses, by the one name the rest of the build knows it by.
#
# gRPC, Protobuf and abseil are linked statically: with Debian's shared libraries (about 80 of them) a gRPC server needs
# 9 ms from exec to listening, with the static ones 3 ms, and a cold start pays that. See docs/decisions/0002-static-grpc.md.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(simdjson REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(elf REQUIRED IMPORTED_TARGET libelf)
pkg_check_modules(dw REQUIRED IMPORTED_TARGET libdw)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(nats REQUIRED IMPORTED_TARGET libnats)
pkg_check_modules(postgres REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)
find_path(HTTPLIB_INCLUDE_DIR httplib.h REQUIRED)
find_library(HTTPLIB_LIBRARY cpp-httplib REQUIRED)
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

# Archives in a group need no order, and what nobody calls is not linked, so all of abseil may stand there. Libraries
# that a distribution patches for security on its own clock (OpenSSL, zlib, c-ares) stay dynamic.
find_library(GRPCPP_ARCHIVE libgrpc++.a REQUIRED)
get_filename_component(archive_dir ${GRPCPP_ARCHIVE} DIRECTORY)
file(GLOB absl_archives CONFIGURE_DEPENDS ${archive_dir}/libabsl_*.a)
if(NOT absl_archives)
  message(FATAL_ERROR "No abseil archives (libabsl_*.a) beside ${GRPCPP_ARCHIVE}: install libabsl-dev")
endif()

# mayfly_static_library(NAME ARCHIVES … SHARED …)
function(mayfly_static_library target)
  cmake_parse_arguments(arg "" "" "ARCHIVES;SHARED" ${ARGN})
  set(archives "")
  foreach(name IN LISTS arg_ARCHIVES)
    list(APPEND archives ${archive_dir}/lib${name}.a)
  endforeach()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(${target} INTERFACE -Wl,--start-group ${archives} ${absl_archives} -Wl,--end-group
                        ${arg_SHARED} Threads::Threads)
endfunction()

mayfly_static_library(mayfly_absl)
mayfly_static_library(mayfly_protobuf ARCHIVES protobuf SHARED z)
mayfly_static_library(mayfly_grpc ARCHIVES grpc++ grpc address_sorting re2 upb gpr protobuf
                      SHARED cares z OpenSSL::SSL OpenSSL::Crypto)
add_library(mayfly_grpc_reflection INTERFACE IMPORTED GLOBAL)
# Reflection registers itself at static initialisation, so the whole archive is kept.
target_link_libraries(mayfly_grpc_reflection INTERFACE -Wl,--whole-archive -l:libgrpc++_reflection.a -Wl,--no-whole-archive mayfly_grpc)

add_library(mayfly_curl INTERFACE IMPORTED GLOBAL)
target_link_libraries(mayfly_curl INTERFACE CURL::libcurl)
# Its archive, of which only what reads tar, gzip and zstd is linked: the shared library loads an XML parser and 30 MB of
# Unicode tables for forms that nobody reads here. The decompressors themselves stay dynamic.
find_library(ARCHIVE_ARCHIVE libarchive.a REQUIRED)
add_library(mayfly_archive INTERFACE IMPORTED GLOBAL)
target_link_libraries(mayfly_archive INTERFACE ${ARCHIVE_ARCHIVE} z zstd)
add_library(mayfly_simdjson INTERFACE IMPORTED GLOBAL)
target_link_libraries(mayfly_simdjson INTERFACE simdjson::simdjson)

add_library(mayfly_httplib INTERFACE IMPORTED GLOBAL)
target_link_libraries(mayfly_httplib INTERFACE ${HTTPLIB_LIBRARY} OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
# Debian builds cpp-httplib with these; the header must agree with the library.
target_compile_definitions(mayfly_httplib INTERFACE CPPHTTPLIB_OPENSSL_SUPPORT CPPHTTPLIB_ZLIB_SUPPORT CPPHTTPLIB_BROTLI_SUPPORT)

if(MAYFLY_BUILD_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
