# Flags of all our code, as one interface library.
#
# -ffp-contract=off, -fno-math-errno, -fno-trapping-math: one bit stream of noise for every
# compiler, optimisation and instruction set. Flags that let the compiler re-associate or assume
# that there is no NaN would break the bit promises and the NaN checks, so they are refused.
# No -march=native: a binary built on a login node runs on the compute node; hot loops choose
# their instruction set at start (function multiversioning).
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
if("${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}" MATCHES "-ffast-math|-Ofast|-funsafe-math|-march=native")
  message(FATAL_ERROR "testudo refuses -ffast-math, -Ofast, -funsafe-math-optimizations and "
                      "-march=native: its results are promised bit for bit")
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")

add_library(tdo_flags INTERFACE)
target_include_directories(tdo_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(tdo_flags INTERFACE _DEFAULT_SOURCE _POSIX_C_SOURCE=200809L)
target_compile_options(tdo_flags INTERFACE
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion
  -Wdouble-promotion -Wvla -Werror)
# -fno-sanitize-recover also keeps gcc from wrong warnings: when a check of the sanitizer may
# return, gcc follows the path behind it and sees a null format string in every printf wrapper.
if(TESTUDO_SANITIZE)
  target_compile_options(tdo_flags INTERFACE -fsanitize=${TESTUDO_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(tdo_flags INTERFACE -fsanitize=${TESTUDO_SANITIZE})
endif()
