//! Rules for how much an image may waste.

use std::fmt;

use serde::Serialize;

use super::waste::WasteReport;

/// A rule that an image has to obey. The last three are dive's, with its names, its figures and its way of
/// comparing (`cmd/dive/cli/internal/command/ci/rules.go`): a figure that is equal to the limit passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WasteRule {
    /// At most so many wasted bytes.
    Max(u64),
    /// At most so many percent of what is stored may be wasted.
    MaxPercent(f64),
    /// dive's efficiency is at least so much, from 0 to 1.
    LowestEfficiency(f64),
    /// At most so many bytes are what dive calls wasted.
    HighestWastedBytes(u64),
    /// What dive calls wasted is at most so much of the sizes above the first layer, from 0 to 1.
    HighestUserWastedPercent(f64),
}

/// Whether an image obeys a rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WasteVerdict {
    /// The rule: `max`, `max-percent`, or dive's name for it.
    pub rule: &'static str,
    /// What it allows: bytes, percent, or dive's ratio.
    pub limit: f64,
    /// The value; `null` if dive's figures could not be computed, and then the rule fails.
    pub value: Option<f64>,
    /// Whether the image obeys it.
    pub ok: bool,
}

impl WasteRule {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max(_) => "max",
            Self::MaxPercent(_) => "max-percent",
            Self::LowestEfficiency(_) => "lowestEfficiency",
            Self::HighestWastedBytes(_) => "highestWastedBytes",
            Self::HighestUserWastedPercent(_) => "highestUserWastedPercent",
        }
    }

    /// Whether a report obeys the rule.
    pub(super) fn judge(self, report: &WasteReport) -> WasteVerdict {
        let dive = report.dive;
        let (limit, value, ok) = match self {
            Self::Max(bytes) => (
                float(bytes),
                Some(float(report.wasted)),
                report.wasted <= bytes,
            ),
            Self::MaxPercent(percent) => {
                let value = report.percent();
                (percent, Some(value), value <= percent)
            }
            Self::LowestEfficiency(limit) => {
                let value = dive.map(|dive| dive.efficiency);
                (limit, value, value.is_some_and(|value| value >= limit))
            }
            Self::HighestWastedBytes(limit) => {
                let value = dive.map(|dive| dive.wasted_bytes);
                let ok = value.is_some_and(|value| value <= limit);
                (float(limit), value.map(float), ok)
            }
            Self::HighestUserWastedPercent(limit) => {
                // Where nothing was added to the first layer dive divides by 0: nothing wasted passes.
                let value = dive.map(|dive| dive.user_wasted_percent.unwrap_or_default());
                let ok = value.is_some_and(|value| value <= limit);
                (limit, value, ok)
            }
        };
        WasteVerdict {
            rule: self.name(),
            limit,
            value,
            ok,
        }
    }
}

/// A number of bytes for JSON and comparisons with ratios.
#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^53 nothing is lost, and no archive is larger"
)]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

/// For people: `--max 20MB`, or dive's name and limit.
impl fmt::Display for WasteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = super::units::size;
        match self {
            Self::Max(bytes) => write!(f, "--max {}", size(*bytes)),
            Self::MaxPercent(percent) => write!(f, "--max-percent {percent}"),
            Self::HighestWastedBytes(bytes) => write!(f, "{} {}", self.name(), size(*bytes)),
            Self::LowestEfficiency(limit) | Self::HighestUserWastedPercent(limit) => {
                write!(f, "{} {limit}", self.name())
            }
        }
    }
}
