# `cmake --install`: headers, both libraries, the CMake package and the pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/tandem DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/tandem_c.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# Two export sets: who uses the shared library doesn't need what only the static one links.
set(TANDEM_PACKAGE_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/tandem)
foreach(kind static shared)
  install(TARGETS tandem_${kind} EXPORT tandem_${kind}_targets)
  install(EXPORT tandem_${kind}_targets NAMESPACE tandem:: DESTINATION ${TANDEM_PACKAGE_FOLDER})
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tandemConfig.cmake.in ${PROJECT_BINARY_DIR}/tandemConfig.cmake
                              INSTALL_DESTINATION ${TANDEM_PACKAGE_FOLDER} NO_SET_AND_CHECK_MACRO)
# Until 1.0 a minor version may change what it likes.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tandemConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tandemConfig.cmake ${PROJECT_BINARY_DIR}/tandemConfigVersion.cmake
        DESTINATION ${TANDEM_PACKAGE_FOLDER})

# The pkg-config file finds its prefix from where it lies, so that an installed tree can be moved.
set(pkgconfig_folder ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH TANDEM_PREFIX_FROM_PKGCONFIG /prefix/${pkgconfig_folder} /prefix)
configure_file(${CMAKE_CURRENT_LIST_DIR}/tandem.pc.in ${PROJECT_BINARY_DIR}/tandem.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tandem.pc DESTINATION ${pkgconfig_folder})
