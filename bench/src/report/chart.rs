//! A bar for each subject.

use super::Summary;
use svg::node::element::{Rectangle, Text};
use svg::Document;

const ROW: usize = 22;
const LEFT: f64 = 400.0;
const WIDTH: f64 = 960.0;

fn colour(one: &Summary) -> &'static str {
    let ours = one.group == "all four" || one.name.starts_with(one.group);
    match (one.group, ours) {
        ("yardstick" | "calls", _) => "#9aa5b1",
        (_, true) => "#1f6feb",
        _ => "#d29922",
    }
}

pub(super) fn bars(summaries: &[Summary]) -> Document {
    let most = summaries
        .iter()
        .map(|one| one.http1.cpu_us)
        .fold(1.0, f64::max);
    let height = summaries.len() * ROW + 40;
    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH as usize, height))
        .set("font-family", "sans-serif")
        .set("font-size", 12)
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#ffffff"))
        .add(
            Text::new("CPU time of the proxy per request, µs (grey: yardsticks, blue: Seawall, yellow: peers)")
                .set("x", 8)
                .set("y", 18),
        );
    for (at, one) in summaries.iter().enumerate() {
        let y = at * ROW + 30;
        let width = one.http1.cpu_us / most * (WIDTH - LEFT - 60.0);
        document = document
            .add(
                Text::new(one.name.as_str())
                    .set("x", LEFT - 6.0)
                    .set("y", y + 13)
                    .set("text-anchor", "end"),
            )
            .add(
                Rectangle::new()
                    .set("x", LEFT)
                    .set("y", y)
                    .set("width", format!("{width:.1}"))
                    .set("height", ROW - 6)
                    .set("fill", colour(one)),
            )
            .add(
                Text::new(format!("{:.1}", one.http1.cpu_us))
                    .set("x", format!("{:.1}", LEFT + width + 5.0))
                    .set("y", y + 13),
            );
    }
    document
}
