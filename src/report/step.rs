//! Build steps in one line, for people.

use crate::document::HistoryEntry;
use crate::document::dockerfile::created_by::CreatedBy;

/// The instruction that a step came from, as far as it can be told without the steps before it: without the shell
/// and the marks that builders write, on one line, at most `most` characters long.
pub fn step(entry: &HistoryEntry, most: usize) -> String {
    let (name, rest) = match CreatedBy::read(entry, "/bin/sh -c") {
        CreatedBy::Instruction(name, rest) => (name, rest),
        CreatedBy::Run(run) => ("RUN", run.text),
        CreatedBy::Other(text) => ("", text),
    };
    let mut line = String::from(name);
    let mut left = most;
    for word in rest.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if left == 0 {
                line.push('…');
                return line;
            }
            left -= 1;
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::step;
    use crate::document::HistoryEntry;

    #[test]
    fn steps_are_the_instructions_of_the_dockerfile() {
        let of = |created_by: &str| {
            let entry = HistoryEntry {
                created_by: created_by.to_owned(),
                ..HistoryEntry::default()
            };
            step(&entry, 20)
        };
        assert_eq!(of("/bin/sh -c #(nop) COPY a b "), "COPY a b");
        assert_eq!(of("/bin/sh -c apt-get   update"), "RUN apt-get update");
        assert_eq!(of("RUN /bin/sh -c make # buildkit"), "RUN make");
        assert_eq!(of("RUN |1 A=b /bin/sh -c make # buildkit"), "RUN make");
        assert_eq!(of("bazel build ..."), "bazel build ...");
        assert_eq!(of(""), "");
        assert_eq!(of(&"x".repeat(30)), format!("{}…", "x".repeat(20)));
    }
}
