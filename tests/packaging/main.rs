//! The header, the library file, the packages and the pages: what users get.

mod consumers;
mod docs;
mod header;
mod header_compiles;
mod header_words;
mod html;
mod installation;
mod library;
mod offline;
mod packages;
mod quick_start;
