# A file named *_avx2.cpp or *_avx512.cpp is compiled for that instruction set and reached only after
# cpu.h has found it in the machine. Such files call no inline function of the standard library: the
# linker could keep their copy for everyone.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|i[3-6]86")
  file(GLOB_RECURSE avx2_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*_avx2.cpp)
  file(GLOB_RECURSE avx512_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*_avx512.cpp)
  set_source_files_properties(${avx2_sources} PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c;-mbmi2")
  set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS
    "-mavx2;-mfma;-mf16c;-mbmi2;-mavx512f;-mavx512vl;-mavx512dq;-mavx512bw;-mprefer-vector-width=512")
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # g++ 12 warns about its own intrinsics (GCC bug 105593).
    set_property(SOURCE ${avx512_sources} APPEND PROPERTY COMPILE_OPTIONS -Wno-maybe-uninitialized -Wno-uninitialized)
  endif()
endif()

# The kernel interpreter's primitives, and pooling's, are loops for the compiler to vectorize. Never fast-math: every
# instruction set must give the same bits.
file(GLOB primitive_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernel/primitives_*.cpp
                                        ${PROJECT_SOURCE_DIR}/src/runtime/pooling_kernels_*.cpp)
set_property(SOURCE ${primitive_sources} APPEND PROPERTY COMPILE_OPTIONS -O3 -fno-trapping-math -Wno-psabi)
