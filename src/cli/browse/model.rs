//! What the browser shows: all of it, and nothing that depends on a terminal.

use std::path::PathBuf;
use std::sync::Arc;

use imgtar::base::escape;
use imgtar::image::Image;
use imgtar::layer::Measure;
use imgtar::report::{BlamePath, WasteReport};
use imgtar::tree::{FateRecord, LayerChange, LayerView, LayerWaste, NodeId, Timeline};

use super::list::ListCursor;
use super::rows::{FileRows, OpenDirectories, RowsQuery};
use super::view::areas::Areas;
use super::work::{Extraction, OPENING, ViewedFile};
use crate::cli::error::Failure;

/// The browser as it is shown.
#[derive(Debug)]
pub(crate) struct Browser {
    /// What the archive is called.
    pub(super) archive: String,
    /// How large the screen is, in cells.
    pub(super) size: (u16, u16),
    pub(super) images: Vec<Arc<Image>>,
    pub(super) problems: usize,
    pub(super) screen: Screen,
    /// The image that was looked at before the list of images.
    pub(super) kept: Option<Box<ImageScreen>>,
    pub(super) popup: Option<Popup>,
    pub(super) prompt: Option<Prompt>,
    /// What the last key came to.
    pub(super) message: Option<(Tone, String)>,
    /// What the background does, for people.
    pub(super) work: Vec<&'static str>,
    /// How far it is: bytes done, and of how many.
    pub(super) progress: (u64, u64),
    /// What went wrong and ends the browser.
    pub(super) failure: Option<Failure>,
}

/// What the screen is about.
#[derive(Debug)]
pub(crate) enum Screen {
    /// The archive is being opened.
    Opening,
    /// One of several images is chosen.
    Choosing(ListCursor),
    /// An image is looked at.
    Image(Box<ImageScreen>),
}

/// The side that has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pane {
    Layers,
    Files,
}

/// An image that is looked at.
#[derive(Debug)]
pub(crate) struct ImageScreen {
    /// Its place in the list of images.
    pub(super) number: usize,
    pub(super) image: Arc<Image>,
    pub(super) side: Pane,
    pub(super) layers: ListCursor,
    pub(super) measures: Vec<Option<Measure>>,
    pub(super) waste: Vec<LayerWaste>,
    pub(super) files: FilesScreen,
    /// Why not all layers can be shown.
    pub(super) failure: Option<Failure>,
    pub(super) wasted: Option<Arc<WasteReport>>,
    /// Where to go once the rows of the layer are there.
    pub(super) goal: Option<NodeId>,
}

/// The files of a layer.
#[derive(Debug)]
pub(crate) struct FilesScreen {
    pub(super) timeline: Option<Arc<Timeline>>,
    pub(super) view: LayerView,
    pub(super) by_size: bool,
    pub(super) filter: String,
    pub(super) open: Arc<OpenDirectories>,
    /// Those that were closed by hand, where few changes are open by themselves.
    pub(super) closed: Arc<OpenDirectories>,
    pub(super) rows: Option<FileRows>,
    pub(super) cursor: ListCursor,
    /// Whether rows are on the way, and whether others are wanted by now.
    pub(super) asked: bool,
    pub(super) is_stale: bool,
}

impl Default for FilesScreen {
    fn default() -> Self {
        Self {
            timeline: None,
            view: LayerView::UpTo,
            by_size: false,
            filter: String::new(),
            open: Arc::default(),
            closed: Arc::default(),
            rows: None,
            cursor: ListCursor::default(),
            asked: false,
            is_stale: false,
        }
    }
}

/// What lies on top.
#[derive(Debug)]
pub(crate) enum Popup {
    Help(ListCursor),
    Waste(ListCursor),
    Blame(ListCursor, BlamePath),
    File(Box<FileScreen>),
    /// A failure, with what to do about it.
    Failure(Vec<String>),
}

/// A file that is looked into.
#[derive(Debug)]
pub(crate) struct FileScreen {
    pub(super) file: ViewedFile,
    /// Where the lines of a text begin.
    pub(super) lines: Vec<u32>,
    pub(super) is_hex: bool,
    pub(super) top: usize,
    pub(super) left: usize,
}

/// A line that is typed.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(super) about: About,
    pub(super) text: String,
    /// Where the next letter goes, in characters.
    pub(super) at: usize,
}

/// What a line that is typed is about.
#[derive(Debug)]
pub(crate) enum About {
    /// The filter, and what it was before.
    Filter(String),
    /// Where to write a file or a directory.
    Extract(Extraction),
}

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Done,
    Wrong,
}

/// What the browser asks for after a key.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The layers of an image.
    Merge(usize, Arc<Image>),
    /// What each layer hides.
    Hidden(usize, Arc<Timeline>),
    Rows(usize, Box<RowsQuery>),
    Blame(usize, Arc<Timeline>, Arc<Image>, Vec<u8>),
    Waste(usize, Arc<Timeline>, Arc<Image>),
    View(usize, Arc<Timeline>, FateRecord, Vec<u8>),
    Extract(Arc<Timeline>, Extraction),
    /// To the clipboard.
    Copy(String),
    /// To be stopped until the shell goes on with it.
    Suspend,
    /// Everything drawn anew.
    Redraw,
    Quit,
}

impl Browser {
    /// The browser before the archive is open.
    pub(super) fn new(archive: String, size: (u16, u16)) -> Self {
        Self {
            archive,
            size,
            images: Vec::new(),
            problems: 0,
            screen: Screen::Opening,
            kept: None,
            popup: None,
            prompt: None,
            message: None,
            work: vec![OPENING],
            progress: (0, 0),
            failure: None,
        }
    }

    /// The image that is looked at.
    pub(super) fn image(&self) -> Option<&ImageScreen> {
        match &self.screen {
            Screen::Image(image) => Some(image),
            Screen::Opening | Screen::Choosing(_) => None,
        }
    }

    pub(super) fn image_mut(&mut self) -> Option<&mut ImageScreen> {
        match &mut self.screen {
            Screen::Image(image) => Some(image),
            Screen::Opening | Screen::Choosing(_) => None,
        }
    }

    /// Where everything is on the screen.
    pub(super) fn areas(&self) -> Areas {
        Areas::of(
            self.size,
            self.image().map_or(Pane::Layers, |image| image.side),
        )
    }

    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.message = Some((tone, text.into()));
    }

    /// Shows a failure: in the line at the bottom if it fits there, else on top of everything.
    pub(super) fn fail(&mut self, failure: &Failure) {
        let lines = failure.lines();
        if let [line] = &lines[..]
            && line.chars().count() < usize::from(self.size.0)
        {
            self.say(Tone::Wrong, line.clone());
        } else {
            self.popup = Some(Popup::Failure(lines));
        }
    }

    /// Removes one piece of work from what the background does.
    pub(super) fn done(&mut self, work: &str) {
        if let Some(at) = self.work.iter().position(|other| *other == work) {
            self.work.remove(at);
        }
    }
}

impl ImageScreen {
    pub(super) fn new(number: usize, image: Arc<Image>) -> Self {
        Self {
            number,
            image,
            side: Pane::Layers,
            layers: ListCursor::default(),
            measures: Vec::new(),
            waste: Vec::new(),
            files: FilesScreen::default(),
            failure: None,
            wasted: None,
            goal: None,
        }
    }

    /// The layer that is chosen, base first.
    pub(super) fn layer(&self) -> usize {
        self.layers.at
    }

    /// How many layers are merged.
    pub(super) fn merged(&self) -> usize {
        self.files
            .timeline
            .as_ref()
            .map_or(0, |timeline| timeline.layers())
    }

    /// What the cursor in the tree is on.
    pub(super) fn chosen(&self) -> Option<NodeId> {
        let rows = self.files.rows.as_ref()?;
        rows.names.get(self.files.cursor.at).copied()
    }

    /// What stands there, as the rows show it.
    pub(super) fn shown(&self, place: NodeId) -> Option<(FateRecord, Option<LayerChange>)> {
        let (timeline, rows) = (self.files.timeline.as_ref()?, self.files.rows.as_ref()?);
        timeline.shown(place, rows.layer, LayerView::UpTo)
    }

    pub(super) fn is_directory(&self, place: NodeId) -> bool {
        let (Some(timeline), Some((record, _))) = (&self.files.timeline, self.shown(place)) else {
            return false;
        };
        matches!(timeline.inode(&record).body, imgtar::tree::Body::Directory)
    }
}

impl FileScreen {
    pub(super) fn new(file: ViewedFile) -> Self {
        const LOOKED_AT: usize = 8 << 10;
        let is_hex = file.bytes.iter().take(LOOKED_AT).any(|byte| *byte == 0);
        let ends = file
            .bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n');
        let begins = ends
            .map(|(end, _)| end + 1)
            .filter(|at| *at < file.bytes.len());
        let begins = std::iter::once(0).chain(begins);
        let lines = begins
            .map(|at| u32::try_from(at).unwrap_or(u32::MAX))
            .collect();
        Self {
            file,
            lines,
            is_hex,
            top: 0,
            left: 0,
        }
    }

    /// How many lines there are.
    pub(super) fn len(&self) -> usize {
        if self.is_hex {
            self.file.bytes.len().div_ceil(Self::HEX)
        } else if self.file.bytes.is_empty() {
            0
        } else {
            self.lines.len()
        }
    }

    /// How many bytes a line in hex has.
    pub(super) const HEX: usize = 16;

    /// A line of a text, without its end.
    pub(super) fn line(&self, number: usize) -> &[u8] {
        let at = |number: usize| self.lines.get(number).map(|at| *at as usize);
        let from = at(number).unwrap_or(self.file.bytes.len());
        let to = at(number + 1).unwrap_or(self.file.bytes.len());
        let line = &self.file.bytes[from..to];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

impl Prompt {
    pub(super) fn new(about: About, text: String) -> Self {
        let at = text.chars().count();
        Self { about, text, at }
    }

    fn byte(&self) -> usize {
        let mut letters = self.text.char_indices();
        letters.nth(self.at).map_or(self.text.len(), |(at, _)| at)
    }

    pub(super) fn insert(&mut self, letter: char) {
        if !escape::is_dangerous(letter) {
            self.text.insert(self.byte(), letter);
            self.at += 1;
        }
    }

    pub(super) fn remove_before(&mut self) {
        if self.at > 0 {
            self.at -= 1;
            self.remove_after();
        }
    }

    pub(super) fn remove_after(&mut self) {
        let at = self.byte();
        if at < self.text.len() {
            self.text.remove(at);
        }
    }

    pub(super) fn go(&mut self, letters: isize) {
        self.at = self
            .at
            .saturating_add_signed(letters)
            .min(self.text.chars().count());
    }
}

/// The file to write a path of an image to, where the browser was started.
pub(super) fn file_name(name: &[u8], is_directory: bool) -> PathBuf {
    // A name that would act on a terminal is not given to a file.
    let name = escape::name(name).to_string();
    let name = if name.is_empty() {
        "root".to_owned()
    } else {
        name
    };
    if is_directory {
        PathBuf::from(format!("{name}.tar"))
    } else {
        PathBuf::from(name)
    }
}
