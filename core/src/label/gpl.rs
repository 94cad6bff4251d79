//! Class tables as GIMP palettes.
//!
//! GIMP keeps colours, their order and their names, but drops comments. So the colour's name holds the id and the
//! don't-care flag.

use std::fmt::Write as _;

use super::classes::{Class, DONT_CARE_SUFFIX, strip_dont_care};
use crate::error::{Error, Result};

/// One colour line of a palette.
struct Entry<'a> {
    /// Line number, from 1.
    line: usize,
    color: [u8; 3],
    /// The number at the start of the name.
    id: Option<u16>,
    /// The name, without don't-care suffix and, if there is an id, without the number.
    name: &'a str,
    dont_care: bool,
}

pub(super) fn parse(text: &str) -> Result<Vec<Class>> {
    let mut lines = text.lines().map(str::trim).zip(1..);
    if lines.next().is_none_or(|(first, _)| first != "GIMP Palette") {
        return Err(Error::Labels("not a GIMP palette: the first line must be `GIMP Palette`".into()));
    }
    let is_color = |line: &str| !(line.is_empty() || line.starts_with('#') || is_header(line));
    // Aseprite writes alpha too, and says so.
    let alpha = text.lines().any(|line| line.trim().eq_ignore_ascii_case("Channels: RGBA"));
    let entries: Vec<Entry<'_>> =
        lines.filter(|(line, _)| is_color(line)).map(|(line, n)| parse_entry(line, n, alpha)).collect::<Result<_>>()?;

    let numbered = entries.iter().find(|e| e.id.is_some());
    let plain = entries.iter().find(|e| e.id.is_none());
    if let (Some(numbered), Some(plain)) = (numbered, plain) {
        return Err(Error::Labels(format!(
            "line {}: the colour {:?} carries no class id, but the one in line {} does: begin its name with one, as in \
             `3 door`, or remove the numbers from all names to count classes in the order of the lines",
            plain.line, plain.name, numbered.line
        )));
    }
    entries.iter().enumerate().map(|(i, e)| class(i, e)).collect()
}

fn class(index: usize, entry: &Entry<'_>) -> Result<Class> {
    let id = match entry.id {
        Some(id) => id,
        None => {
            u16::try_from(index).map_err(|_| Error::Labels(format!("line {}: more than 65536 colours", entry.line)))?
        }
    };
    // GIMP calls every unnamed colour "Untitled", but class names must be unique.
    let unnamed = entry.name.is_empty() || (entry.id.is_none() && entry.name == "Untitled");
    let name = if unnamed { format!("class {id}") } else { entry.name.into() };
    Ok(Class { id, name, color: entry.color, dont_care: entry.dont_care })
}

fn is_header(line: &str) -> bool {
    ["Name:", "Columns:", "Channels:"].iter().any(|header| line.starts_with(header))
}

fn parse_entry(line: &str, number: usize, alpha: bool) -> Result<Entry<'_>> {
    let mut rest = line;
    let mut channels = [0; 4];
    let count = if alpha { 4 } else { 3 };
    for channel in &mut channels[..count] {
        let (word, tail) = split_word(rest);
        *channel = word.parse().map_err(|_| {
            Error::Labels(format!(
                "line {number}: {line:?} is no palette entry: expected `red green blue name`, 0 to 255"
            ))
        })?;
        rest = tail;
    }
    let [r, g, b, _] = channels;
    let color = [r, g, b];
    let (name, dont_care) = strip_dont_care(rest).map_or((rest, false), |name| (name, true));
    let (word, tail) = split_word(name);
    // Only plain digits are an id: `+3` or `90%` can be part of a colour's name.
    let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    // Nor is a name that repeats the colour in hexadecimal, as Lospec writes it.
    let is_number = is_number && !word.eq_ignore_ascii_case(&format!("{r:02x}{g:02x}{b:02x}"));
    let id = if is_number {
        Some(word.parse().map_err(|_| Error::Labels(format!("line {number}: class id {word} is beyond 65535")))?)
    } else {
        None
    };
    Ok(Entry { line: number, color, id, name: if id.is_some() { tail } else { name }, dont_care })
}

/// The first word of `text`, and what follows it without the white space between.
fn split_word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

pub(super) fn format(classes: &[Class], palette_name: &str) -> String {
    // The header must be one line.
    let palette_name = palette_name.replace(char::is_control, " ");
    let mut text = format!("GIMP Palette\nName: {palette_name}\nColumns: 0\n#\n");
    for Class { id, name, color: [r, g, b], dont_care } in classes {
        let suffix = if *dont_care { format!(" {DONT_CARE_SUFFIX}") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{r:3} {g:3} {b:3}\t{id} {name}{suffix}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::classes::ClassTable;
    use super::super::testing::{class, table};

    fn message(text: &str) -> String {
        ClassTable::from_gpl_str(text).unwrap_err().to_string()
    }

    #[test]
    fn writes_ids_and_dont_care_into_the_names() {
        let expected = "GIMP Palette\nName: site\nColumns: 0\n#\n  0   0   0\t0 ground\n255   0   0\t1 roof\n\
                        \x20 0 255   0\t2 tree\n128 128 128\t12 void (don't care)\n";
        assert_eq!(table(Some(12)).to_gpl_string("site"), expected);
    }

    #[test]
    fn plain_palettes_count_lines() {
        let text = "GIMP Palette\nName: x\n# a comment\n\n 1 2 3\tsky\n4 5 6   90% Gray (Don't Care)\n7 8 9\n8 8 9\tUntitled\n";
        let table = ClassTable::from_gpl_str(text).unwrap();
        assert_eq!(table.get(0).unwrap(), &class(0, "sky", [1, 2, 3]));
        assert_eq!(table.dont_care().unwrap().name, "90% Gray");
        assert_eq!(table.get(2).unwrap().name, "class 2");
        assert_eq!(table.get(3).unwrap().name, "class 3");
        assert_eq!(table.len(), 4);
    }

    #[test]
    fn numbers_give_ids() {
        let table = ClassTable::from_gpl_str("GIMP Palette\n1 2 3\t7 2 wheeler\n4 5 6\t3\n").unwrap();
        assert_eq!(table.get(7).unwrap().name, "2 wheeler");
        assert_eq!(table.get(3).unwrap().name, "class 3");
    }

    #[test]
    fn errors_name_the_line() {
        assert!(message("").contains("GIMP Palette"));
        assert!(message("GIMP Palette\n").contains("at least one class"));
        assert!(message("GIMP Palette\n1 2 3 0 a\n4 5 6 Untitled\n").contains("line 3: the colour \"Untitled\""));
        assert!(message("GIMP Palette\n1 2 256 a\n").contains("line 2"));
        assert!(message("GIMP Palette\n1 2\n").contains("line 2"));
        assert!(message("GIMP Palette\n1 2 3 70000 a\n").contains("70000"));
        assert!(message("GIMP Palette\n1 2 3 5 a\n1 2 4 5 b\n").contains("id 5"));
    }
}
