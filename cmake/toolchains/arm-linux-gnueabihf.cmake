# Debian's armhf: gcc-arm-linux-gnueabihf, and with -DCMAKE_SYSROOT= the root in which the target's libraries lie. Without
# one there is what the compiler has of its own: enough for a build without TLS.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
set(CMAKE_C_COMPILER arm-linux-gnueabihf-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE arm-linux-gnueabihf)
set(ENOS_RUST_TARGET armv7-unknown-linux-gnueabihf CACHE STRING "Rust's name of the target")
# Programs of this machine, libraries and headers of the target.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
