# cmake -DOUTPUT=embedded.cc -DNAME=Templates -DROOT=dir -DFILES=a;b -P embed.cmake
#
# Writes a C++ file that holds the FILES below ROOT as data: the function NAME() of cli/embedded.h.
set(text "#include \"cli/embedded.h\"\n\nnamespace mayfly::cli {\n\nconst std::vector<EmbeddedFile>& ${NAME}() {\n")
string(APPEND text "  static const auto* const files = new std::vector<EmbeddedFile>{\n")
foreach(file IN LISTS FILES)
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${hex}")
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(APPEND text "      {\"${file}\", std::string_view(\"${escaped}\", ${size})},\n")
endforeach()
string(APPEND text "  };\n  return *files;\n}\n\n}  // namespace mayfly::cli\n")
file(WRITE ${OUTPUT} "${text}")
