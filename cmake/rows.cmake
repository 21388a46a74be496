# tdo_rows(<out> <def file> [SUFFIX .c])
#
# A registry is a list of rows `MACRO(name)`, one per line, in a .def file that C expands into
# externs and a table. The same file is the source list: this function sets <out> to name.c of
# every row, and makes CMake run again when the list changes.
function(tdo_rows out def)
  cmake_path(ABSOLUTE_PATH def)
  file(STRINGS ${def} lines REGEX "^[A-Z_]+\\([a-z0-9_]+")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${def})
  set(sources)
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[A-Z_]+\\(([a-z0-9_]+).*" "\\1.c" source "${line}")
    list(APPEND sources ${source})
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
