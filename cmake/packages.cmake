# Debian packages: libenos1 (named after the ABI), libenos-dev, enos-sim, and the debug information in libenos1-dbgsym.
#
#     make deb      or, from a build with -DCMAKE_INSTALL_PREFIX=/usr -DENOS_BUILD_SIMULATOR=ON:      cpack -G DEB
#
# dpkg-shlibdeps finds the dependencies of each package. Packages that link with libenos1 get their dependency on it
# from the shlibs file.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME libenos)
set(CPACK_PACKAGE_CONTACT "The authors of libenos" CACHE STRING "The packages' maintainer")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "connects a device to the EnOS cloud over MQTT")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_COMPONENTS_ALL runtime dev debug)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libenos${ENOS_SOVERSION})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "The library that firmware runs with.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libenos-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libenos${ENOS_SOVERSION} (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEV_DESCRIPTION "The header, files for CMake and pkg-config, pages and examples.")

set(CPACK_DEBIAN_DEBUG_PACKAGE_NAME libenos${ENOS_SOVERSION}-dbgsym)
set(CPACK_DEBIAN_DEBUG_PACKAGE_SECTION debug)
set(CPACK_DEBIAN_DEBUG_PACKAGE_DEPENDS "libenos${ENOS_SOVERSION} (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEBUG_DESCRIPTION "The debug information that was split off the library.")

if(ENOS_BUILD_SIMULATOR)
  list(APPEND CPACK_COMPONENTS_ALL sim)
  set(CPACK_DEBIAN_SIM_PACKAGE_NAME enos-sim)
  set(CPACK_DEBIAN_SIM_PACKAGE_SECTION net)
  set(CPACK_DEBIAN_SIM_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_SIM_DESCRIPTION "EnOS cloud for a desk: what a device sees of it over MQTT")
endif()

include(CPack)
