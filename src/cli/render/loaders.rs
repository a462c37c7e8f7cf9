//! The lines of `verify` on what engines make of an archive.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{VerifyArchive, VerifyLoader};

use super::layers::short;
use super::verify::BAD;

/// Several versions of one engine that treat an archive alike.
struct Alike<'l> {
    loader: &'l VerifyLoader,
    versions: Vec<&'l str>,
}

impl Alike<'_> {
    /// Engine, versions, store and options.
    fn label(&self) -> String {
        let versions = self.versions.join(" and ");
        let engine = match self.loader.engine {
            "docker" => "Docker",
            other => other,
        };
        let store = match self.loader.store {
            Some(store @ ("classic" | "containerd")) => format!(" ({store} store)"),
            Some("vfs") => " (vfs)".to_owned(),
            _ => String::new(),
        };
        let options = self.loader.options.map(|options| format!(" {options}"));
        format!("{engine} {versions}{store}{}", options.unwrap_or_default())
    }
}

/// Puts versions of one engine together that answer alike: with the same verdict, and with the same reason
/// if reasons are shown. podman's driver for tests is left out where it makes no difference.
fn alike(loaders: &[VerifyLoader], reasons_are_shown: bool) -> Vec<Alike<'_>> {
    let mut all: Vec<Alike<'_>> = Vec::new();
    for loader in loaders {
        let overlay =
            |other: &&VerifyLoader| other.engine == loader.engine && other.store == Some("overlay");
        let usual = loaders.iter().find(overlay);
        if loader.store == Some("vfs") && usual.is_some_and(|usual| usual.verdict == loader.verdict)
        {
            continue;
        }
        let is_same = |one: &VerifyLoader| {
            (one.engine, one.store, one.options) == (loader.engine, loader.store, loader.options)
                && one.verdict == loader.verdict
                && (one.reason == loader.reason || !reasons_are_shown)
        };
        match all.iter_mut().find(|known| is_same(known.loader)) {
            Some(known) => known.versions.push(loader.version),
            None => all.push(Alike {
                loader,
                versions: vec![loader.version],
            }),
        }
    }
    all
}

/// Which engines take the archive, and why the others do not; which images an engine that takes it leaves
/// out.
pub(super) fn loaders(out: &mut dyn Write, loaders: &[VerifyLoader]) -> io::Result<()> {
    let all = alike(loaders, true);
    let labels = |verdict: &str| -> Vec<String> {
        let of_verdict = all.iter().filter(|one| one.loader.verdict == verdict);
        of_verdict.map(Alike::label).collect()
    };
    let loading = labels("loads");
    if !loading.is_empty() {
        writeln!(out, "  loads into {}", loading.join(", "))?;
    }
    for one in &all {
        if one.loader.verdict == "loads-with-base" {
            let reason = escape::text(one.loader.reason.as_deref().unwrap_or_default());
            let label = one.label();
            writeln!(
                out,
                "  loads into {label} where the base is loaded; elsewhere: “{reason}”"
            )?;
        }
    }
    for one in &all {
        let what = match one.loader.verdict {
            "refuses" => "refuses it",
            "loads-broken" => "takes it and cannot run it",
            "unknown" => "is not predicted",
            _ => continue,
        };
        let reason = escape::text(one.loader.reason.as_deref().unwrap_or_default());
        // Quotation marks enclose what the engine itself says, and nothing else.
        let (open, close) = if one.loader.quoted {
            ("“", "”")
        } else {
            ("", "")
        };
        let label = one.label();
        writeln!(out, "  {BAD}{label} {what}:{BAD:#} {open}{reason}{close}")?;
    }
    let idle = labels("makes-nothing");
    if !idle.is_empty() {
        let idle = idle.join(", ");
        writeln!(out, "  {BAD}no image is made by{BAD:#} {idle}")?;
    }
    for one in &all {
        if one.loader.verdict == "loads" {
            left_out(out, one)?;
        }
    }
    Ok(())
}

/// The images that an engine leaves out although it takes the archive.
fn left_out(out: &mut dyn Write, one: &Alike<'_>) -> io::Result<()> {
    const MOST: usize = 3;
    let all = &one.loader.images;
    let left_out: Vec<_> = all.iter().filter(|fate| !fate.loaded).collect();
    // Engines keep one platform of an image: the others are not missing.
    let told = left_out.iter().filter(|fate| fate.reason.is_some());
    for fate in told.take(MOST) {
        let id = fate.id.as_deref().map_or("an image", short);
        let reason = escape::text(fate.reason.as_deref().unwrap_or_default());
        writeln!(out, "    {} leaves out {id}: {reason}", one.label())?;
    }
    Ok(())
}

/// Which of the engines that are called `name` do not load the archive, with their versions.
pub(super) fn failing(archive: &VerifyArchive, name: &str) -> String {
    let loaders = archive.loaders.as_deref().unwrap_or_default();
    let fails = |loader: &&VerifyLoader| loader.target.is_called(name) && loader.verdict != "loads";
    let failing: Vec<VerifyLoader> = loaders.iter().filter(fails).cloned().collect();
    // By version alone: how each fails is told already.
    let mut all: Vec<Alike<'_>> = Vec::new();
    for loader in &failing {
        let of = |one: &VerifyLoader| (one.engine, one.store, one.options);
        match all.iter_mut().find(|known| of(known.loader) == of(loader)) {
            Some(known) => known.versions.push(loader.version),
            None => all.push(Alike {
                loader,
                versions: vec![loader.version],
            }),
        }
    }
    let labels: Vec<String> = all.iter().map(Alike::label).collect();
    labels.join(", ")
}

/// The end of the last line: which engines do not load it.
pub(super) fn refusing(archive: &VerifyArchive) -> String {
    let loaders = archive.loaders.as_deref().unwrap_or_default();
    let all = alike(loaders, false);
    let labels = |verdict: &str| -> Vec<String> {
        let of_verdict = all.iter().filter(|one| one.loader.verdict == verdict);
        of_verdict.map(Alike::label).collect()
    };
    let mut text = String::new();
    for (verdict, words) in [
        ("refuses", "refused by"),
        ("loads-broken", "broken in"),
        ("loads-with-base", "needs its base in"),
        ("unknown", "not predicted for"),
    ] {
        let labels = labels(verdict);
        if !labels.is_empty() {
            text.push_str("; ");
            text.push_str(words);
            text.push(' ');
            text.push_str(&labels.join(", "));
        }
    }
    text
}
