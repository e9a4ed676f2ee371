//! The readiness checklist names settings and metrics that are there.

use seawall_tests::envoy::repository;

const FILTERS: [&str; 4] = [
    "rate-limit",
    "response-cache",
    "circuit-breaker",
    "trace-headers",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).expect("a file of the repository")
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_metric_of_the_checklist_is_in_the_table_of_its_filter() {
    let mut seen = 0;
    for line in read("docs/readiness.md").lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, setting, place, _] = cells[..] else {
            continue;
        };
        let Some(filter) = FILTERS.iter().find(|filter| setting.starts_with(*filter)) else {
            continue;
        };
        let readme = read(&format!("filters/{filter}/README.md"));
        let (_, metrics) = readme.split_once("## Metrics").expect("its metrics");
        let (metrics, _) = metrics.split_once("\n## ").expect("what follows");
        for name in quoted(place) {
            let family = name.split_once(".*").map(|(family, _)| family);
            let there = quoted(metrics).any(|metric| {
                metric == name || family.is_some_and(|family| metric.starts_with(family))
            });
            // What a response or a log shows is no metric.
            let shown = ["Retry-After", "trace_id"].contains(&name);
            assert!(there || shown, "{filter} has no metric {name}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}
