//! The generated files match the sources.

use generate::File;

#[test]
fn the_header_is_what_the_sources_say() {
    File::named("header").unwrap().compare();
}

#[test]
fn the_table_of_the_layout_is_that_of_the_header() {
    File::named("layout").unwrap().compare();
}

#[test]
fn the_page_of_messages_is_the_table_of_operations() {
    File::named("messages").unwrap().compare();
}
