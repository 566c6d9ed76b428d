//! What users get: the header, the library that ships, the packages, and the pages.

mod c_programs;
mod consumers;
mod docs;
mod generated;
mod header_compiles;
mod header_words;
mod html;
mod installation;
mod layout;
mod library;
mod offline;
mod packages;
mod quick_start;
mod wiped;
