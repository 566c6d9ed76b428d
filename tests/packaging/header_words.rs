//! The header's words: complete, and about things that exist.

use std::collections::BTreeSet;

use support::native::{code, comments, functions, header, words};

/// The comment that stands right before the declaration of `name`.
fn comment_of<'a>(header: &'a str, name: &str) -> &'a str {
    let declares = |after: &str| {
        let declaration = after.split_once(';').map_or("", |(declaration, _)| declaration);
        declaration.split_once('(').is_some_and(|(head, _)| words(head).last() == Some(name))
    };
    let documented = header.split("/**").filter_map(|piece| piece.split_once("*/"));
    let mut found = documented.filter(|(_, after)| declares(after)).map(|(comment, _)| comment);
    found.next().unwrap_or_else(|| panic!("{name} has no comment"))
}

#[test]
fn every_function_tells_its_parameters_and_results() {
    let header = header();
    for (name, parameters) in functions(&header) {
        let comment = comment_of(&header, &name);
        let told: Vec<_> = comment.lines().filter_map(|line| line.split_once("@param ")).collect();
        let told: Vec<_> = told.iter().filter_map(|(_, rest)| words(rest).next()).collect();
        assert_eq!(told, parameters, "{name} does not describe its parameters, in order");
        let declaration = code(&header);
        let fallible = declaration.contains(&format!("enos_status {name}("));
        assert!(!fallible || comment.contains("@retval ENOS_OK"), "{name} does not tell its statuses");
        let returns = !declaration.contains(&format!("void {name}("));
        assert!(!returns || fallible || comment.contains("@return"), "{name} does not tell what it returns");
    }
}

/// Whether `word` is defined, or is the beginning of something that is, as in `ENOS_FEATURE_*`.
fn exists(word: &str, followed_by_star: bool, known: &BTreeSet<&str>) -> bool {
    known.contains(word) || (followed_by_star && known.iter().any(|k| k.starts_with(word)))
}

#[test]
fn what_the_words_name_exists() {
    let header = header();
    let code = code(&header);
    let macros = header.lines().filter_map(|line| line.strip_prefix("#define ")).filter_map(|rest| words(rest).next());
    let known: BTreeSet<&str> = words(&code).chain(macros).chain(["ENOS_H"]).collect();
    for comment in comments(&header) {
        for (at, word) in words(comment).map(|word| (word.as_ptr() as usize - comment.as_ptr() as usize, word)) {
            if !word.starts_with("ENOS_") && !word.starts_with("enos_") {
                continue;
            }
            let star = comment[at + word.len()..].starts_with('*');
            assert!(exists(word, star, &known), "{word} is named in a comment, and does not exist");
        }
    }
}

#[test]
fn every_status_is_told_where_it_comes_from() {
    let header = header();
    let code = code(&header);
    let statuses = words(&code).filter(|word| *word == "ENOS_OK" || word.starts_with("ENOS_ERR_"));
    let comments = comments(&header).join("\n");
    for status in statuses {
        assert!(words(&comments).any(|word| word == status), "{status} is told nowhere");
    }
}

/// The sources' own comments become longer or shorter in the header.
#[test]
fn no_line_is_longer_than_the_code_may_be() {
    let header = header();
    let long: Vec<_> = (1..).zip(header.lines()).filter(|(_, line)| line.chars().count() > 120).collect();
    assert!(long.is_empty(), "{long:#?}");
}
