//! Reads the patches of fixes/ and applies them.
//!
//! Each is a `diff -U0` against the sources as they are shipped, not against what the fix before it left. So each
//! stands alone: any of them can be left out (the tests do that to show that it is needed) and none depends on an
//! order. Patch programs and crates apply one patch to the result of another, and place an insertion without context
//! by guess; here a line that is not what the patch says is an error.

use std::{collections::BTreeMap, fs, path::Path};

/// One patch file.
#[derive(Clone, Debug)]
pub struct Fix {
    /// The file's name without `.patch`: its number and what it mends.
    pub name: String,
    edits: Vec<Edit>,
}

/// One hunk: at a line of the shipped file (counted from 0), what goes and what comes.
#[derive(Clone, Debug)]
struct Edit {
    file: String,
    at: usize,
    removed: Vec<String>,
    added: Vec<String>,
}

impl Fix {
    /// The files, relative to the sources' root, that this fix changes.
    #[allow(dead_code)] // the tests ask, the build script does not
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.edits.iter().map(|edit| edit.file.as_str())
    }

    fn parse(name: &str, text: &str) -> Result<Fix, String> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut file = None;
        let (mut removals, mut additions) = (0, 0); // still to come in this hunk
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("{name}.patch:{}: {what}: {line}", number + 1);
            let edit = edits.last_mut();
            match (line.chars().next(), edit) {
                (Some('-'), Some(edit)) if removals > 0 => {
                    edit.removed.push(line[1..].to_owned());
                    removals -= 1;
                }
                (Some('+'), Some(edit)) if removals == 0 && additions > 0 => {
                    edit.added.push(line[1..].to_owned());
                    additions -= 1;
                }
                _ if removals + additions > 0 => return Err(wrong("the hunk before it is incomplete")),
                _ if line.starts_with("--- a/") => file = Some(line[6..].to_owned()),
                _ if line.starts_with("@@ ") => {
                    let (at, removed, added) = hunk(line).ok_or_else(|| wrong("not a hunk of diff -U0"))?;
                    let file = file.clone().ok_or_else(|| wrong("a hunk before any file"))?;
                    edits.push(Edit { file, at, removed: Vec::new(), added: Vec::new() });
                    (removals, additions) = (removed, added);
                }
                _ if file.is_none() || line.starts_with("+++ b/") => {} // the header's words
                _ => return Err(wrong("neither hunk nor file")),
            }
        }
        if removals + additions > 0 || edits.is_empty() {
            return Err(format!("{name}.patch: no hunk, or an incomplete one"));
        }
        Ok(Fix { name: name.to_owned(), edits })
    }
}

/// `@@ -7,2 +7,3 @@`: the first line from 0, how many lines go, how many come.
fn hunk(line: &str) -> Option<(usize, usize, usize)> {
    let range = |text: &str, sign| -> Option<(usize, usize)> {
        let (start, count) = text.strip_prefix(sign)?.split_once(',').unwrap_or((&text[1..], "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let mut words = line.split(' ').skip(1);
    let (start, removed) = range(words.next()?, '-')?;
    let (_, added) = range(words.next()?, '+')?;
    // An insertion names the line before it, anything else the first line that it replaces.
    Some((if removed == 0 { start } else { start.checked_sub(1)? }, removed, added))
}

/// All patches of a directory, by name.
pub fn read(directory: &Path) -> Result<Vec<Fix>, String> {
    let wrong = |error| format!("{}: {error}", directory.display());
    let mut fixes = Vec::new();
    for entry in fs::read_dir(directory).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            fixes.push(Fix::parse(&name, &fs::read_to_string(&path).map_err(wrong)?)?);
        }
    }
    fixes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(fixes)
}

/// Applies fixes to the shipped sources below `root`.
pub fn apply<'a>(fixes: impl IntoIterator<Item = &'a Fix>, root: &Path) -> Result<(), String> {
    let mut by_file: BTreeMap<&str, Vec<(&str, &Edit)>> = BTreeMap::new();
    for fix in fixes {
        for edit in &fix.edits {
            by_file.entry(&edit.file).or_default().push((&fix.name, edit));
        }
    }
    for (file, mut edits) in by_file {
        let path = root.join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut lines = text.split_inclusive('\n');
        edits.sort_by_key(|(_, edit)| edit.at); // stable: insertions at one place keep the order of the fixes
        let (mut fixed, mut line) = (String::with_capacity(text.len() + 4096), 0);
        for (name, edit) in edits {
            let fail = |what: &str| format!("{name}.patch, {file}:{}: {what}", edit.at + 1);
            let kept = edit.at.checked_sub(line).ok_or_else(|| fail("another fix changes this line, too"))?;
            let before = fixed.len();
            fixed.extend(lines.by_ref().take(kept));
            if fixed[before..].matches('\n').count() != kept {
                return Err(fail("the file is shorter than that"));
            }
            for removed in &edit.removed {
                if lines.next().and_then(|found| found.strip_suffix('\n')) != Some(removed) {
                    return Err(fail("the line is not the one that the fix replaces"));
                }
            }
            for added in &edit.added {
                fixed.push_str(added);
                fixed.push('\n');
            }
            line = edit.at + edit.removed.len();
        }
        fixed.extend(lines);
        fs::write(&path, fixed).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
