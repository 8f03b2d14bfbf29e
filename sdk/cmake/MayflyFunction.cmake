# mayfly_add_function(NAME thumbnail SOURCES thumbnail.cc [LIBRARIES PkgConfig::VIPS …])
#
# Builds thumbnail.so: a module with hidden visibility, no "lib" before its name, every symbol resolved while linking,
# and a build id. The target has the function's name; C++ sources are C++20 unless the project says more.
function(mayfly_add_function)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS OR arg_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "mayfly_add_function(NAME name SOURCES file… [LIBRARIES library…]): "
                        "cannot use \"${arg_UNPARSED_ARGUMENTS}${arg_KEYWORDS_MISSING_VALUES}\"")
  endif()
  if(NOT arg_NAME MATCHES "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    message(FATAL_ERROR "mayfly_add_function: NAME \"${arg_NAME}\" must be lower-case letters, digits and \"-\"")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "mayfly_add_function: ${arg_NAME} has no SOURCES")
  endif()
  add_library(${arg_NAME} MODULE ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE mayfly::sdk ${arg_LIBRARIES})
  target_compile_features(${arg_NAME} PRIVATE cxx_std_20)
  target_link_options(${arg_NAME} PRIVATE LINKER:-z,defs LINKER:--build-id)
  set_target_properties(${arg_NAME} PROPERTIES
    PREFIX "" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
endfunction()
