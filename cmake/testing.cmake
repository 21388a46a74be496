# tdo_add_test(<name> SOURCES ... LINK ... [RANKS 1 2 3 4] [LABELS quick|slow] [TIMEOUT seconds])
#
# A CUnit suite (it defines `suite_name` and `suite_tests`, see tests/runner.h) as one executable
# and one ctest; with RANKS, one ctest for each number of ranks, under mpiexec, with the runner
# that adds up failures over ranks.
function(tdo_add_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LINK;RANKS;LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  if(TESTUDO_SANITIZE)
    math(EXPR T_TIMEOUT "${T_TIMEOUT} * 5")
  endif()
  if(NOT T_LABELS)
    set(T_LABELS quick)
  endif()
  if(T_RANKS)
    set(runner ${PROJECT_SOURCE_DIR}/tests/mpi/runner.c)
    list(APPEND T_LINK tdo_mpi)
  else()
    set(runner ${PROJECT_SOURCE_DIR}/tests/runner.c)
  endif()
  add_executable(${name} ${T_SOURCES} ${runner})
  target_link_libraries(${name} PRIVATE ${T_LINK} tdo_base tdo_flags PkgConfig::CUNIT m)
  if(T_RANKS)
    foreach(n IN LISTS T_RANKS)
      add_test(NAME ${name}.np${n}
               COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${n} --oversubscribe
                       $<TARGET_FILE:${name}>)
      tdo_test_properties(${name}.np${n} ${n} ${T_TIMEOUT} "${T_LABELS}")
    endforeach()
  else()
    add_test(NAME ${name} COMMAND ${name})
    tdo_test_properties(${name} 1 ${T_TIMEOUT} "${T_LABELS}")
  endif()
endfunction()

# Tests whose numbers come out of the kernels: the build without oneDNN runs these.
function(tdo_label_core)
  set_property(TEST ${ARGN} APPEND PROPERTY LABELS core)
endfunction()

# What every test gets: a time limit, one thread per rank, permission to run as root.
function(tdo_test_properties test processors timeout labels)
  set(environment OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1
                  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
                  OMPI_MCA_btl_vader_single_copy_mechanism=none
                  ASAN_OPTIONS=fast_unwind_on_malloc=0 # Open MPI unloads its plugins: see lsan.supp
                  LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0)
  set_tests_properties(${test} PROPERTIES PROCESSORS ${processors} TIMEOUT ${timeout}
                       LABELS "${labels}" ENVIRONMENT "${environment}"
                       WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
endfunction()
