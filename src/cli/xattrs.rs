//! Extended attributes that kernels refuse: told where they are written, and `--drop-xattr`, which leaves them
//! out.

use clap::Args;
use imgtar::base::escape;
use imgtar::tree::{RefusedXattrs, XattrPattern};

use super::error::warn;
use super::locale::ellipsis;
use super::output::Output;

/// How to get rid of extended attributes in an archive that was written.
pub(crate) const WITHOUT_XATTRS: &str = "`imgtar squash --drop-xattr` makes an image without it";

/// Attributes to leave out.
#[derive(Debug, Args)]
pub(crate) struct DropXattrArg {
    /// Leave out extended attributes of this name, such as com.apple.provenance or 'com.apple.*'
    ///
    /// `*` stands for any characters. A kernel that does not know an attribute refuses to set it, and some engines then
    /// refuse the layer; a warning names such attributes. `flatten` cannot combine it with --metadata, which has to fit
    /// the tar. Can be given several times.
    #[arg(long = "drop-xattr", value_name = "PATTERN")]
    drop_xattrs: Vec<String>,
}

impl DropXattrArg {
    /// How to get rid of an attribute that is told.
    pub(crate) const WAY_OUT: &'static str = "--drop-xattr leaves it out";

    /// The names.
    pub(crate) fn patterns(&self) -> Vec<XattrPattern> {
        let pattern = |pattern: &String| XattrPattern::new(pattern);
        self.drop_xattrs.iter().map(pattern).collect()
    }

    /// Warns of names that no file had; `dropped` are the files by pattern.
    pub(crate) fn warn_of_none(&self, dropped: &[u64], output: Output) {
        for (pattern, count) in self.drop_xattrs.iter().zip(dropped) {
            if *count == 0 {
                let pattern = escape::text(pattern);
                let message = format!("`--drop-xattr {pattern}` matches no extended attribute");
                warn(output, &message);
            }
        }
    }
}

/// Warns of extended attributes in what is written that kernels refuse to set; `way_out` is how to get rid
/// of them.
pub(crate) fn warn_of_xattrs(refused: &RefusedXattrs, way_out: &str, output: Output) {
    for xattr in &refused.told {
        let (path, name) = (escape::name(&xattr.path), shortened(&xattr.name));
        let more = match xattr.count - 1 {
            0 => String::new(),
            1 => " (1 more file has it)".to_owned(),
            n => format!(" ({n} more files have it)"),
        };
        let message = format!(
            "`{path}` has the extended attribute `{name}`{more}, and {}; {way_out}",
            xattr.fault.describe()
        );
        warn(output, &message);
    }
    if refused.more > 0 {
        let message = format!("files have other such attributes {} times", refused.more);
        warn(output, &message);
    }
}

/// The first characters of an attribute's name, which may be very long.
fn shortened(name: &[u8]) -> String {
    const MOST: usize = 80;
    let name = escape::name(name).to_string();
    match name.char_indices().nth(MOST) {
        Some((end, _)) => [&name[..end], ellipsis()].concat(),
        None => name,
    }
}
