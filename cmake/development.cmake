# Installs the files for building firmware.

include(CMakePackageConfigHelpers)

set(cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/enos)
configure_package_config_file(cmake/enos-config.cmake.in enos-config.cmake
  INSTALL_DESTINATION ${cmake_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
# Before 1.0 a minor version may change the ABI.
write_basic_package_version_file(enos-config-version.cmake COMPATIBILITY SameMinorVersion)

# Paths are relative to the file itself, so that an installed tree can be moved.
file(RELATIVE_PATH pc_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/enos.pc.in enos.pc @ONLY)

install(FILES ${CMAKE_CURRENT_BINARY_DIR}/libenos.so DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT dev)
install(FILES include/enos.h include/enos.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/enos-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/enos-config-version.cmake
  DESTINATION ${cmake_dir} COMPONENT dev)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/enos.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
install(FILES cmake/valgrind.supp DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/enos COMPONENT dev)

# The pages and the examples have the same relative paths as in the sources, so that links work.
install(DIRECTORY docs c_examples DESTINATION ${doc_dir} COMPONENT dev)
install(FILES README.md CHANGELOG.md DESTINATION ${doc_dir} COMPONENT dev)
foreach(part paho simulator)
  install(FILES ${part}/README.md DESTINATION ${doc_dir}/${part} COMPONENT dev)
endforeach()
