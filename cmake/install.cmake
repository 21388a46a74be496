# cmake --install: the program, its manual page and completion, documents, examples.
#
# The page and the completion are printed by the program that was built, so they are made here
# and nowhere kept.
include(GNUInstallDirs)
install(TARGETS testudo RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md LICENSE jobs/NUMBERS.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY jobs/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/testudo USE_SOURCE_PERMISSIONS
        FILES_MATCHING PATTERN *.cfg PATTERN *.sh)
install(DIRECTORY slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/testudo USE_SOURCE_PERMISSIONS)

if(TESTUDO_SANITIZE OR CMAKE_CROSSCOMPILING) # such a program is not for installing
  return()
endif()
set(generated ${PROJECT_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${generated})
function(tdo_print page file)
  add_custom_command(OUTPUT ${generated}/${file}
                     COMMAND testudo help ${page} > ${generated}/${file}
                     DEPENDS testudo VERBATIM)
endfunction()
tdo_print(man testudo.1)
tdo_print(bash testudo)
add_custom_target(manual ALL DEPENDS ${generated}/testudo.1 ${generated}/testudo)
install(FILES ${generated}/testudo.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${generated}/testudo DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
