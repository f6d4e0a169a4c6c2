# cmake -D BUILD=... -D SOURCE=... -D COMPILER=... -P check.cmake
# Installs into a fresh prefix, moves it, and builds and runs a program that finds it there: with
# find_package, static and shared, and with pkg-config.
set(folder ${BUILD}/install_test)
file(REMOVE_RECURSE ${folder})
file(MAKE_DIRECTORY ${folder})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${output}")
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${folder}/first)
file(RENAME ${folder}/first ${folder}/prefix)

run(${CMAKE_COMMAND} -S ${SOURCE} -B ${folder}/consumer -G Ninja -D CMAKE_CXX_COMPILER=${COMPILER}
    -D CMAKE_PREFIX_PATH=${folder}/prefix)
run(${CMAKE_COMMAND} --build ${folder}/consumer)  # its build runs what it built

file(GLOB_RECURSE pkgconfig_file ${folder}/prefix/*/tandem.pc)
get_filename_component(pkgconfig_folder ${pkgconfig_file} DIRECTORY)
get_filename_component(library_folder ${pkgconfig_folder} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${pkgconfig_folder})
set(ENV{LD_LIBRARY_PATH} ${library_folder})
foreach(kind "" --static)
  execute_process(COMMAND pkg-config ${kind} --cflags --libs tandem COMMAND_ERROR_IS_FATAL ANY
                  OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE)
  separate_arguments(flags UNIX_COMMAND ${flags})
  if(kind)
    list(TRANSFORM flags REPLACE "^-ltandem$" "-l:libtandem.a")
  endif()
  run(${COMPILER} -std=c++20 ${SOURCE}/main.cpp -o ${folder}/with_pkgconfig${kind} ${flags})
  run(${folder}/with_pkgconfig${kind})
endforeach()
