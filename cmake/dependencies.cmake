# Libraries that we use, as imported targets. jobs/setup installs their Debian packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5-openmpi)
pkg_check_modules(LIBCONFIG REQUIRED IMPORTED_TARGET libconfig)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)

# Arb has no .pc file; newer FLINT contains it.
find_path(ARB_INCLUDE_DIR arb.h PATH_SUFFIXES flint REQUIRED)
find_library(FLINT_LIBRARY flint REQUIRED)
find_library(ARB_LIBRARY NAMES flint-arb arb flint)
add_library(tdo_arb INTERFACE)
target_include_directories(tdo_arb SYSTEM INTERFACE ${ARB_INCLUDE_DIR})
target_link_libraries(tdo_arb INTERFACE ${ARB_LIBRARY} ${FLINT_LIBRARY})

# oneDNN's own package file in Debian asks for OpenCL, which nothing here needs.
if(TESTUDO_ONEDNN)
  find_path(DNNL_INCLUDE_DIR dnnl.h REQUIRED)
  find_library(DNNL_LIBRARY dnnl REQUIRED)
  add_library(tdo_dnnl INTERFACE)
  target_include_directories(tdo_dnnl SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
  target_link_libraries(tdo_dnnl INTERFACE ${DNNL_LIBRARY})
endif()
