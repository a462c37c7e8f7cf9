//! Which build step made which layer.

use super::config::HistoryEntry;

/// A history entry and the layer it made.
#[derive(Clone, Copy, Debug)]
pub struct BuildStep<'h> {
    /// The entry.
    pub entry: &'h HistoryEntry,
    /// The index of its layer, base first. `None` if the step made none, or if the layers have run
    /// out ([`Pairing::missing_layers`]).
    pub layer: Option<usize>,
}

/// A history walked beside the layers, as engines do it: oldest first, each entry that is not
/// marked `empty_layer` takes the next layer (moby `daemon/images/image_history.go`).
#[derive(Clone, Debug)]
pub struct Pairing<'h> {
    /// The steps, oldest first.
    pub steps: Vec<BuildStep<'h>>,
    /// How many entries need a layer although none is left. Docker refuses such an image: "too many
    /// non-empty layers in History section".
    pub missing_layers: usize,
    /// How many layers no entry made. Docker does not show them. Always 0 without any history,
    /// which is not mandatory.
    pub unexplained_layers: usize,
    /// The step of each layer, as far as there are steps.
    makers: Vec<usize>,
}

impl<'h> Pairing<'h> {
    /// Pairs `history`, oldest first, with `layers` layers.
    pub fn new(history: &'h [HistoryEntry], layers: usize) -> Self {
        let mut makers = Vec::new();
        let mut missing_layers = 0;
        let mut steps = Vec::with_capacity(history.len());
        for entry in history {
            let layer = if entry.empty_layer {
                None
            } else if makers.len() < layers {
                makers.push(steps.len());
                Some(makers.len() - 1)
            } else {
                missing_layers += 1;
                None
            };
            steps.push(BuildStep { entry, layer });
        }
        let unexplained_layers = if history.is_empty() {
            0
        } else {
            layers - makers.len()
        };
        Self {
            steps,
            missing_layers,
            unexplained_layers,
            makers,
        }
    }

    /// The step that made the layer `index`.
    pub fn maker_of(&self, index: usize) -> Option<&'h HistoryEntry> {
        self.makers.get(index).map(|&step| self.steps[step].entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(empty: &[bool]) -> Vec<HistoryEntry> {
        empty
            .iter()
            .map(|&empty_layer| HistoryEntry {
                empty_layer,
                ..HistoryEntry::default()
            })
            .collect()
    }

    #[test]
    fn layers_go_to_the_entries_that_are_not_empty() {
        let entries = history(&[false, true, false, true]);
        let pairing = Pairing::new(&entries, 2);
        let layers: Vec<_> = pairing.steps.iter().map(|step| step.layer).collect();
        assert_eq!(layers, [Some(0), None, Some(1), None]);
        assert_eq!((pairing.missing_layers, pairing.unexplained_layers), (0, 0));
    }

    #[test]
    fn what_does_not_add_up_is_counted() {
        let entries = history(&[false, false, true]);
        let count = |layers| {
            let pairing = Pairing::new(&entries, layers);
            (pairing.missing_layers, pairing.unexplained_layers)
        };
        assert_eq!(count(0), (2, 0));
        assert_eq!(count(1), (1, 0));
        assert_eq!(count(5), (0, 3));
        let pairing = Pairing::new(&[], 3);
        assert_eq!((pairing.steps.len(), pairing.unexplained_layers), (0, 0));
    }
}
