//! What was meant, where the command line makes no sense: clap says what is wrong, this says what to type.

use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output::Stdin;

/// Commands of other programs, and what does here what is expected of them.
const COMMANDS: [(&str, &str); 36] = [
    ("analyze", BROWSE),
    (
        "build",
        "imgtar builds nothing; `imgtar import` makes an image of a root file system, `imgtar commit` adds a layer",
    ),
    ("check", "`imgtar verify ARCHIVE` checks an archive"),
    ("compare", "`imgtar diff OLD NEW` compares two images"),
    (
        "copy",
        "`imgtar convert ARCHIVE -o FILE` writes the images in another layout, `imgtar select` some of them",
    ),
    (
        "cp",
        "`imgtar cat ARCHIVE PATH` prints a file of an image, `imgtar flatten ARCHIVE --only PATH -o FILE` writes a directory as a tar",
    ),
    (
        "delete",
        "`imgtar select ARCHIVE IMAGE... -o FILE` writes the images that are to stay",
    ),
    ("dive", BROWSE),
    (
        "du",
        "`imgtar layers ARCHIVE` shows sizes, `imgtar waste ARCHIVE` what is stored and never shown",
    ),
    (
        "edit",
        "`imgtar config ARCHIVE -c 'ENV A=b' -o FILE` changes the config of an image, `imgtar commit` its files",
    ),
    ("extract", EXTRACT),
    ("get", EXTRACT),
    (
        "grep",
        "`imgtar find ARCHIVE PATTERN` finds names in all layers, `imgtar find ARCHIVE --secrets` secrets in files",
    ),
    (
        "hash",
        "`imgtar verify ARCHIVE` recomputes every digest, `imgtar inspect` shows them",
    ),
    ("info", "`imgtar inspect ARCHIVE` shows what an image is"),
    (
        "list",
        "`imgtar images ARCHIVE` lists images, `imgtar ls ARCHIVE` the files of one",
    ),
    (
        "load",
        "imgtar reads archives where they are; `docker load -i ARCHIVE` loads one, `imgtar verify ARCHIVE` says whether an engine will",
    ),
    ("log", "`imgtar history ARCHIVE` shows the steps of a build"),
    (
        "manifest",
        "`imgtar inspect ARCHIVE` shows what an image is",
    ),
    (
        "mount",
        "`imgtar browse ARCHIVE` shows the files, `imgtar flatten ARCHIVE | tar -x -C DIR` unpacks them",
    ),
    (
        "patch",
        "`imgtar apply OLD FILE -o NEW` makes the archive that `imgtar delta OLD NEW -o FILE` was given",
    ),
    ("pull", REGISTRY),
    ("push", REGISTRY),
    (
        "remove",
        "`imgtar select ARCHIVE IMAGE... -o FILE` writes the images that are to stay",
    ),
    (
        "rename",
        "`imgtar tag ARCHIVE NAME --only -o FILE` gives an image another name",
    ),
    (
        "rm",
        "`imgtar select ARCHIVE IMAGE... -o FILE` writes the images that are to stay",
    ),
    (
        "run",
        "imgtar runs nothing; `imgtar flatten ARCHIVE -o rootfs.tar` gives the root file system",
    ),
    (
        "save",
        "`imgtar select ARCHIVE IMAGE -o FILE` writes one image of an archive, `imgtar merge` several archives as one; an engine writes archives with docker save -o FILE IMAGE",
    ),
    (
        "scan",
        "`imgtar verify --audit ARCHIVE` looks for what to know before running an image, `imgtar find ARCHIVE --secrets` for secrets",
    ),
    (
        "search",
        "`imgtar find ARCHIVE PATTERN` finds names in all layers",
    ),
    (
        "show",
        "`imgtar inspect ARCHIVE` shows what an image is, `imgtar browse ARCHIVE` what is in it",
    ),
    (
        "split",
        "`imgtar select ARCHIVE IMAGE -o FILE` writes one image of an archive",
    ),
    ("unpack", EXTRACT),
    ("untar", EXTRACT),
    ("validate", "`imgtar verify ARCHIVE` checks an archive"),
    ("version", "`imgtar --version` prints the version"),
];

/// How the files of `delta` and `apply` are named.
const DELTA: &str = "delta OLD... NEW -o FILE";
const APPLY: &str = "apply OLD... FILE -o NEW";

/// For a missing archive where nothing came through the pipe either.
const EMPTY: &str = "no file is named, and standard input is empty; did the command that should have written to it fail?";

const BROWSE: &str = "`imgtar browse ARCHIVE` shows layers and files, `imgtar waste ARCHIVE` what is stored and never shown, `imgtar report ARCHIVE -o FILE` writes both as an HTML page";
const CHANGE: &str = "instructions change the config, as in: imgtar config ARCHIVE -c 'ENV A=b' -c 'CMD [\"/bin/app\"]' -o FILE";
const EXTRACT: &str = "`imgtar flatten ARCHIVE -o rootfs.tar` writes all files as a tar (--only PATH: some of them), `imgtar cat ARCHIVE PATH` prints one file";
const REGISTRY: &str = "imgtar talks to no registry; skopeo copies between registries and archives: skopeo copy docker://IMAGE docker-archive:FILE";

/// Options of other programs, and what does here what is expected of them.
const OPTIONS: [(&str, &str); 19] = [
    (
        "--all",
        "nothing is hidden: all images are shown unless one is named",
    ),
    ("--cmd", CHANGE),
    (
        "--digests",
        "`imgtar images --no-trunc` shows whole IDs, `imgtar inspect` all digests",
    ),
    ("--entrypoint", CHANGE),
    ("--env", CHANGE),
    (
        "--file",
        "the file stands without an option: imgtar COMMAND FILE",
    ),
    (
        "--filter",
        "name the image instead, or choose from --json with jq",
    ),
    (
        "--format",
        "--json prints everything as one JSON document, and jq picks from it: imgtar COMMAND ARCHIVE --json | jq ...",
    ),
    (
        "--input",
        "the archive stands without an option: imgtar COMMAND ARCHIVE",
    ),
    ("--label", CHANGE),
    (
        "--no-color",
        "--color never leaves colours out, and so does NO_COLOR=1",
    ),
    ("--out", "the output is named with -o FILE"),
    ("--overwrite", "--force replaces a file that exists"),
    (
        "--tag",
        "`imgtar tag ARCHIVE NAME -o FILE` gives an image a name",
    ),
    ("--threads", "--jobs N sets the number of threads"),
    ("--user", CHANGE),
    (
        "--verbose",
        "every answer is whole; --json has all details, --no-trunc leaves nothing out",
    ),
    ("--workdir", CHANGE),
    (
        "--yes",
        "imgtar asks no questions; --force replaces a file that exists",
    ),
];

/// The hints on what was meant; none if clap's message says enough. What is on standard input is asked for only
/// where an archive is missing.
pub(super) fn hints(
    error: &clap::Error,
    program: &Command,
    arguments: &[String],
    stdin: impl FnOnce() -> Stdin,
) -> Vec<String> {
    let command = arguments
        .iter()
        .find_map(|word| program.find_subcommand(word));
    let invalid = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        Some(ContextValue::Strings(words)) => words.join(" "),
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = invalid(ContextKind::InvalidSubcommand);
            of_command(&word).into_iter().collect()
        }
        ErrorKind::UnknownArgument => {
            let word = invalid(ContextKind::InvalidArg);
            if word.starts_with('-') && word != "-" {
                of_option(&word, program, command).into_iter().collect()
            } else {
                of_argument(&word, command).into_iter().collect()
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(words)) => &words[..],
                _ => &[],
            };
            let takes_archive = ["<ARCHIVE>", "<DATA-ROOT>", "<ROOTFS.tar>"];
            let takes_archive = |word: &String| takes_archive.iter().any(|it| word.starts_with(it));
            let takes_archive = missing.iter().any(takes_archive);
            let Some(command) = command.filter(|_| takes_archive) else {
                return Vec::new();
            };
            let name = command.get_name();
            match stdin() {
                Stdin::Something => vec![format!(
                    "to read standard input, write - in place of the file: imgtar {name} -"
                )],
                Stdin::Empty => vec![EMPTY.to_owned()],
                Stdin::Other => Vec::new(),
            }
        }
        ErrorKind::ArgumentConflict => {
            let both = invalid(ContextKind::InvalidArg) + &invalid(ContextKind::PriorArg);
            if both.contains("--image") && both.contains("[IMAGE]") {
                vec!["name the image once: after the archive, or with -i".to_owned()]
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

/// A word where a command is expected.
fn of_command(word: &str) -> Option<String> {
    let known = COMMANDS.iter().find(|(name, _)| *name == word);
    if let Some((_, hint)) = known {
        return Some((*hint).to_owned());
    }
    (word == "-" || is_archive_name(word) || Path::new(word).is_file())
        .then(|| format!("a command comes before the archive, as in: imgtar images {word}"))
}

/// An option that the command does not have.
fn of_option(word: &str, program: &Command, command: Option<&Command>) -> Option<String> {
    let name = word.split('=').next().unwrap_or(word);
    // What the option means elsewhere may be something else, so what is meant goes first.
    let meant = OPTIONS.iter().find(|(option, _)| *option == name);
    let here = command.map_or("the program", Command::get_name);
    if let Some((_, hint)) = meant {
        let json = |command: &Command| {
            let mut arguments = command.get_arguments();
            arguments.any(|argument| argument.get_long() == Some("json"))
        };
        let is_given = !hint.contains("--json") || command.is_some_and(json);
        return is_given.then(|| hint.replace("COMMAND", here));
    }
    if let ("delta" | "apply", "--base" | "--old" | "--from") = (here, name) {
        return Some(format!(
            "old archives come first, without an option: imgtar {}",
            if here == "delta" { DELTA } else { APPLY }
        ));
    }
    if let ("delta" | "apply", "--new" | "--to" | "--delta") = (here, name) {
        return Some(format!(
            "files stand without an option: imgtar {}",
            if here == "delta" { DELTA } else { APPLY }
        ));
    }
    // A short option means too many things.
    let long = name.strip_prefix("--")?;
    let has = |command: &&Command| {
        let mut arguments = command.get_arguments();
        arguments.any(|argument| argument.get_long() == Some(long))
    };
    let with = program.get_subcommands().filter(has);
    let with: Vec<&str> = with.map(Command::get_name).collect();
    match &with[..] {
        [] => None,
        [one] => Some(format!(
            "{name} is an option of `imgtar {one}`, not of {here}"
        )),
        many if many.len() <= 6 => Some(format!(
            "{name} is an option of {}, not of {here}",
            many.join(", ")
        )),
        _ => Some(format!(
            "{here} has no {name}, which other commands have: `imgtar {here} --help` lists its options"
        )),
    }
}

/// One argument too many.
fn of_argument(word: &str, command: Option<&Command>) -> Option<String> {
    let command = command?;
    let is_there = Path::new(word).is_file();
    if !is_there && !is_archive_name(word) {
        return None;
    }
    let writes = command
        .get_arguments()
        .any(|argument| argument.get_long() == Some("output"));
    let name = command.get_name();
    if name == "rebuild" {
        return Some(format!("the metadata is named with --metadata {word}"));
    }
    Some(match (writes, is_there) {
        (true, false) => format!("the output is named with -o {word}"),
        (true, true) => format!(
            "the output is named with -o {word}; `imgtar merge` makes one archive of several"
        ),
        (false, _) => format!(
            "{name} takes one archive: `imgtar diff OLD NEW` compares two, `imgtar verify` checks several, `imgtar merge` makes one of several"
        ),
    })
}

/// Whether a word is called like an archive.
pub(super) fn is_archive_name(word: &str) -> bool {
    const ENDINGS: [&str; 9] = [
        ".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2", ".tzst", ".txz", ".imgtar",
    ];
    let word = word.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| word.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str, stdin: Stdin) -> String {
        let mut program = crate::cli::parser();
        program.build();
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let all = std::iter::once("imgtar".to_owned()).chain(arguments.iter().cloned());
        let error = program
            .clone()
            .try_get_matches_from(all)
            .expect_err("a slip");
        hints(&error, &program, &arguments, || stdin).join("\n")
    }

    #[test]
    fn slips_are_told_what_was_meant() {
        use Stdin::{Empty, Other, Something};
        for (line, stdin, meant) in [
            ("extract a.tar", Other, "imgtar flatten ARCHIVE -o"),
            ("edit a.tar", Other, "imgtar config"),
            ("version", Other, "imgtar --version"),
            ("load -i a.tar", Other, "docker load"),
            ("save app", Other, "imgtar select"),
            ("list a.tar", Other, "imgtar images"),
            ("app.tar", Other, "imgtar images app.tar"),
            ("images a.tar --format json", Other, "--json"),
            ("images a.tar --only x", Other, "option of flatten, tag"),
            ("images", Something, "imgtar images -"),
            ("images", Empty, "standard input is empty"),
            ("import -o x.tar", Something, "imgtar import -"),
            ("flatten a.tar app:1 out.tar", Other, "-o out.tar"),
            ("layers a.tar app:1 b.tar", Other, "imgtar diff"),
            ("flatten a.tar app:1 -i app:2", Other, "with -i"),
            ("squash a.tar --no-color", Other, "--color never"),
            ("config a.tar --env A=b", Other, "-c 'ENV A=b'"),
            ("rebuild a.tar b.imgtar", Other, "--metadata b.imgtar"),
            ("delta --base a.tar b.tar", Other, "imgtar delta OLD... NEW"),
            ("apply a.tar --delta b", Other, "imgtar apply OLD... FILE"),
            ("patch a.tar b", Other, "imgtar apply OLD FILE"),
        ] {
            let told = told(line, stdin);
            assert!(told.contains(meant), "{line}: {told}");
        }
        assert_eq!(told("images", Other), "");
    }

    #[test]
    fn what_is_a_command_needs_no_hint() {
        let mut program = crate::cli::parser();
        program.build();
        for (name, hint) in COMMANDS {
            assert!(program.find_subcommand(name).is_none(), "{name}");
            // Whatever a hint names is there.
            for (_, after) in hint
                .match_indices("`imgtar ")
                .map(|(at, _)| hint.split_at(at))
            {
                let word = after["`imgtar ".len()..].split([' ', '`']).next();
                let word = word.expect("a word");
                let is_option = word.starts_with("--");
                assert!(
                    is_option || program.find_subcommand(word).is_some(),
                    "{word}"
                );
            }
        }
        let mut names: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, COMMANDS.map(|(name, _)| name));
    }
}
