//! The keys of an image: its layers and its files.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use imgtar::base::escape;
use imgtar::tree::{Body, LayerChange, LayerView, NodeId, Timeline};

use super::super::list::{ListCursor, Motion};
use super::super::model::{About, Ask, Browser, ImageScreen, Pane, Popup, Prompt, Tone, file_name};
use super::super::rows::RowsQuery;
use super::super::view::areas::Areas;
use super::super::work::{COMPARING, Extraction};
use super::move_of;

impl Browser {
    pub(super) fn image_key(&mut self, key: KeyEvent) -> Vec<Ask> {
        let areas = self.areas();
        let Some(image) = self.image_mut() else {
            return Vec::new();
        };
        let area = match image.side {
            Pane::Layers => areas.layers,
            Pane::Files => areas.files,
        };
        let height = Areas::lines(area);
        if let Some(to) = move_of(key, height) {
            return match image.side {
                Pane::Layers => image.go_to_layer(to, height),
                Pane::Files => {
                    let len = image.files.rows.as_ref().map_or(0, |rows| rows.names.len());
                    image.files.cursor.go(to, len, height);
                    Vec::new()
                }
            };
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return Vec::new();
        }
        match key.code {
            KeyCode::Tab | KeyCode::BackTab => image.change_side(),
            KeyCode::Char('[') => {
                return image.go_to_layer(Motion::Lines(-1), Areas::lines(areas.layers));
            }
            KeyCode::Char(']') => {
                return image.go_to_layer(Motion::Lines(1), Areas::lines(areas.layers));
            }
            KeyCode::Char('d') => {
                image.files.view = match image.files.view {
                    LayerView::Changes => LayerView::UpTo,
                    LayerView::UpTo => LayerView::Changes,
                };
                return image.ask_rows();
            }
            KeyCode::Char('s') => {
                image.files.by_size = !image.files.by_size;
                return image.ask_rows();
            }
            KeyCode::Char('/') => {
                let filter = image.files.filter.clone();
                image.side = Pane::Files;
                self.prompt = Some(Prompt::new(About::Filter(filter.clone()), filter));
            }
            KeyCode::Esc => return self.filter(String::new()),
            KeyCode::Char('i') => self.choose_again(),
            KeyCode::Char('w') => return self.show_waste(),
            KeyCode::Char('y') => return self.copy(),
            _ if image.side == Pane::Layers => {
                return self.layers_key(key.code);
            }
            _ => return self.files_key(key.code),
        }
        Vec::new()
    }

    fn layers_key(&mut self, key: KeyCode) -> Vec<Ask> {
        match key {
            KeyCode::Enter | KeyCode::Char(' ' | 'l') | KeyCode::Right => {
                if let Some(image) = self.image_mut() {
                    image.side = Pane::Files;
                }
            }
            KeyCode::Char('b' | 'v' | 'x' | '*') => {
                self.say(Tone::Wrong, "this key is for files: Tab goes to them");
            }
            _ => {}
        }
        Vec::new()
    }

    fn files_key(&mut self, key: KeyCode) -> Vec<Ask> {
        let Some(image) = self.image_mut() else {
            return Vec::new();
        };
        if matches!(key, KeyCode::Char('h') | KeyCode::Left) {
            return image.close_or_go_up();
        }
        let Some(chosen) = image.chosen() else {
            if matches!(
                key,
                KeyCode::Char('b' | 'v' | 'x' | '*' | ' ') | KeyCode::Enter
            ) {
                self.say(Tone::Wrong, "there is no file to choose here");
            }
            return Vec::new();
        };
        let is_directory = image.is_directory(chosen);
        match key {
            KeyCode::Enter | KeyCode::Char(' ') if is_directory => image.toggle(chosen),
            KeyCode::Char('l') | KeyCode::Right if is_directory => image.open_or_go_down(chosen),
            KeyCode::Char('*') if is_directory => image.toggle_all(chosen),
            KeyCode::Enter | KeyCode::Char('v') => self.look_into(chosen),
            KeyCode::Char('b') => self.blame(chosen),
            KeyCode::Char('x') => self.ask_where_to(chosen),
            _ => Vec::new(),
        }
    }

    fn show_waste(&mut self) -> Vec<Ask> {
        let Some(image) = self.image_mut() else {
            return Vec::new();
        };
        let Some(timeline) = image.files.timeline.clone() else {
            self.say(Tone::Wrong, "the layers are still being read");
            return Vec::new();
        };
        let (number, is_known, of) = (
            image.number,
            image.wasted.is_some(),
            Arc::clone(&image.image),
        );
        self.popup = Some(Popup::Waste(ListCursor::default()));
        if is_known || self.work.contains(&COMPARING) {
            return Vec::new();
        }
        self.work.push(COMPARING);
        vec![Ask::Waste(number, timeline, of)]
    }

    fn copy(&mut self) -> Vec<Ask> {
        let Some(image) = self.image() else {
            return Vec::new();
        };
        let text = match (image.side, image.chosen(), &image.files.timeline) {
            (Pane::Files, Some(chosen), Some(timeline)) => {
                escape::name(&timeline.fates().path(chosen)).to_string()
            }
            (Pane::Files, ..) => String::new(),
            (Pane::Layers, ..) => {
                let layer = image.image.layers.get(image.layer());
                let diff_id = layer.and_then(|layer| layer.diff_id.as_ref());
                diff_id.map(ToString::to_string).unwrap_or_default()
            }
        };
        if text.is_empty() {
            self.say(Tone::Wrong, "there is nothing to copy here");
            return Vec::new();
        }
        self.say(Tone::Done, format!("copied: {text}"));
        vec![Ask::Copy(text)]
    }

    fn look_into(&mut self, chosen: NodeId) -> Vec<Ask> {
        let Some((timeline, number, record)) = self.image().and_then(|image| {
            let (record, _) = image.shown(chosen)?;
            Some((image.files.timeline.clone()?, image.number, record))
        }) else {
            return Vec::new();
        };
        let what = match &timeline.inode(&record).body {
            Body::File { .. } => {
                let path = timeline.fates().path(chosen);
                return vec![Ask::View(number, timeline, record, path)];
            }
            Body::Directory => "a directory: Enter opens it".to_owned(),
            Body::Symlink(target) => format!("a symbolic link to {}", escape::name(target)),
            Body::Char(..) | Body::Block(..) => "a device, which has no content".to_owned(),
            Body::Fifo => "a named pipe, which has no content".to_owned(),
        };
        self.say(Tone::Wrong, format!("this is {what}"));
        Vec::new()
    }

    fn blame(&mut self, chosen: NodeId) -> Vec<Ask> {
        let Some(image) = self.image() else {
            return Vec::new();
        };
        let Some(timeline) = image.files.timeline.clone() else {
            return Vec::new();
        };
        let path = timeline.fates().path(chosen);
        vec![Ask::Blame(
            image.number,
            timeline,
            Arc::clone(&image.image),
            path,
        )]
    }

    fn ask_where_to(&mut self, chosen: NodeId) -> Vec<Ask> {
        let Some(image) = self.image() else {
            return Vec::new();
        };
        let (Some(timeline), Some((record, change)), Some(rows)) = (
            &image.files.timeline,
            image.shown(chosen),
            &image.files.rows,
        ) else {
            return Vec::new();
        };
        let is_directory = match timeline.inode(&record).body {
            Body::File { .. } => false,
            // Whatever else there is needs a tar.
            _ => true,
        };
        // What a layer deletes is as it was before.
        let layer = match change {
            Some(LayerChange::Deleted) => rows.layer.saturating_sub(1),
            _ => rows.layer,
        };
        let to = file_name(timeline.name(chosen), is_directory);
        let extraction = Extraction {
            path: timeline.fates().path(chosen),
            record: Some(record),
            layer,
            is_directory,
            to: to.clone(),
        };
        let text = to.display().to_string();
        self.prompt = Some(Prompt::new(About::Extract(extraction), text));
        Vec::new()
    }

    /// Goes to a layer, and to a path in it.
    pub(super) fn jump(&mut self, layer: usize, path: &[u8]) -> Vec<Ask> {
        self.popup = None;
        let height = Areas::lines(self.areas().layers);
        let Some(image) = self.image_mut() else {
            return Vec::new();
        };
        image.side = Pane::Files;
        image.files.filter.clear();
        if let Some(timeline) = image.files.timeline.clone() {
            let place = timeline.find(path);
            image.goal = place;
            if let Some(place) = place {
                image.open_above(&timeline, place);
            }
        }
        image.layers.at = layer;
        image.layers.settle(image.image.layers.len(), height);
        image.ask_rows()
    }
}

impl ImageScreen {
    fn change_side(&mut self) {
        self.side = match self.side {
            Pane::Layers => Pane::Files,
            Pane::Files => Pane::Layers,
        };
    }

    pub(super) fn go_to_layer(&mut self, to: Motion, height: usize) -> Vec<Ask> {
        let before = self.layers.at;
        self.layers.go(to, self.image.layers.len(), height);
        if self.layers.at == before {
            return Vec::new();
        }
        self.ask_rows()
    }

    /// Asks for the rows as they should be by now; one question at a time.
    pub(in super::super) fn ask_rows(&mut self) -> Vec<Ask> {
        let layer = self.layer();
        let is_merged = layer < self.merged();
        let files = &mut self.files;
        let Some(timeline) = files.timeline.clone() else {
            return Vec::new();
        };
        if !is_merged {
            files.rows = None;
            return Vec::new();
        }
        if files.asked {
            files.is_stale = true;
            return Vec::new();
        }
        files.asked = true;
        let known = files.rows.as_ref();
        let known = known.filter(|rows| rows.layer == layer && rows.view == files.view);
        let sizes = known.map(|rows| Arc::clone(&rows.sizes));
        let rows = files.rows.as_ref();
        let chosen = rows.and_then(|rows| rows.names.get(files.cursor.at).copied());
        let query = RowsQuery {
            timeline,
            layer,
            view: files.view,
            by_size: files.by_size,
            filter: files.filter.clone(),
            open: Arc::clone(&files.open),
            closed: Arc::clone(&files.closed),
            sizes,
            chosen: self.goal.or(chosen),
        };
        vec![Ask::Rows(self.number, Box::new(query))]
    }

    /// Whether the row behind a directory is one in it.
    fn is_open(&self, directory: NodeId) -> bool {
        let (Some(timeline), Some(rows)) = (&self.files.timeline, &self.files.rows) else {
            return false;
        };
        let next = rows.names.get(self.files.cursor.at + 1);
        next.is_some_and(|next| timeline.parent(*next) == directory)
    }

    fn set_open(&mut self, directory: NodeId, open: bool) {
        Arc::make_mut(&mut self.files.open).set(directory, open);
        Arc::make_mut(&mut self.files.closed).set(directory, !open);
    }

    pub(super) fn toggle(&mut self, directory: NodeId) -> Vec<Ask> {
        let open = !self.is_open(directory);
        self.set_open(directory, open);
        self.ask_rows()
    }

    fn toggle_all(&mut self, directory: NodeId) -> Vec<Ask> {
        let Some(timeline) = self.files.timeline.clone() else {
            return Vec::new();
        };
        let open = !self.is_open(directory);
        let mut waiting = vec![directory];
        while let Some(place) = waiting.pop() {
            let before = waiting.len();
            waiting.extend(timeline.children(place));
            if waiting.len() > before {
                self.set_open(place, open);
            }
        }
        self.ask_rows()
    }

    fn open_or_go_down(&mut self, directory: NodeId) -> Vec<Ask> {
        if self.is_open(directory) {
            self.files.cursor.at += 1;
            return Vec::new();
        }
        self.set_open(directory, true);
        self.ask_rows()
    }

    fn close_or_go_up(&mut self) -> Vec<Ask> {
        let (Some(chosen), Some(timeline)) = (self.chosen(), self.files.timeline.clone()) else {
            self.side = Pane::Layers;
            return Vec::new();
        };
        if self.files.filter.is_empty() && self.is_open(chosen) {
            self.set_open(chosen, false);
            return self.ask_rows();
        }
        let parent = timeline.parent(chosen);
        if parent == timeline.root() {
            self.side = Pane::Layers;
            return Vec::new();
        }
        if let Some(rows) = &self.files.rows {
            let above = rows.names[..self.files.cursor.at].iter();
            if let Some(at) = above.rev().position(|name| *name == parent) {
                self.files.cursor.at -= at + 1;
            }
        }
        Vec::new()
    }

    pub(super) fn open_above_chosen(&mut self) {
        if let (Some(chosen), Some(timeline)) = (self.chosen(), self.files.timeline.clone()) {
            self.open_above(&timeline, chosen);
        }
    }

    fn open_above(&mut self, timeline: &Timeline, place: NodeId) {
        let mut at = place;
        while at != timeline.root() {
            at = timeline.parent(at);
            self.set_open(at, true);
        }
    }
}
