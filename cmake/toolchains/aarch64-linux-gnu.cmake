# Debian's arm64: gcc-aarch64-linux-gnu, and with -DCMAKE_SYSROOT= the root with the target's libraries. Without it, the
# compiler's own libraries are used; they are sufficient for a build without TLS.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(ENOS_RUST_TARGET aarch64-unknown-linux-gnu CACHE STRING "Rust's name of the target")
# Use programs of this machine, but libraries and headers of the target.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
