# Debian's armhf: gcc-arm-linux-gnueabihf, and with -DCMAKE_SYSROOT= the root with the target's libraries. Without it,
# the compiler's own libraries are used; they are sufficient for a build without TLS.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE arm-linux-gnueabihf)
set(ENOS_RUST_TARGET armv7-unknown-linux-gnueabihf CACHE STRING "Rust's name of the target")
# Use programs of this machine, but libraries and headers of the target.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
