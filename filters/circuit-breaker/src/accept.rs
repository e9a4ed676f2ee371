//! Which of several answers a client wants, by its `Accept` field (RFC 9110, section 12.5.1).

use crate::settings::Answer;

/// The answer that the client wants most, the first of equals; one without a type if it wants none of the others.
pub(crate) fn choose(answers: &[Answer], accept: Option<&[u8]>) -> Option<usize> {
    let accept = accept.map(|bytes| String::from_utf8_lossy(bytes).to_ascii_lowercase());
    let mut best: Option<(u32, usize)> = None;
    for (at, answer) in answers.iter().enumerate() {
        let quality = match (&answer.accepts, &accept) {
            (None, _) => continue,
            (Some(_), None) => 1000,
            (Some(kind), Some(accept)) => quality(kind, accept),
        };
        if quality > best.map_or(0, |(quality, _)| quality) {
            best = Some((quality, at));
        }
    }
    let untyped = || answers.iter().position(|answer| answer.accepts.is_none());
    best.map(|(_, at)| at).or_else(untyped)
}

/// The quality of a type in thousandths: that of the most specific range that holds it.
fn quality(kind: &str, accept: &str) -> u32 {
    let (main, _) = kind.split_once('/').unwrap_or((kind, ""));
    let mut found = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let specific = match range.split_once('/') {
            _ if range == kind => 3,
            Some((group, "*")) if group == main => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        // A weight that cannot be read is the default.
        let weight = weight
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(1.0);
        let weight = (weight.clamp(0.0, 1.0) * 1000.0) as u32;
        if specific > found.0 {
            found = (specific, weight);
        }
    }
    found.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: Option<&str>) -> Answer {
        Answer {
            accepts: kind.map(str::to_owned),
            status: 200,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    #[test]
    fn the_client_gets_what_it_wants_most() {
        let answers = [
            answer(Some("application/json")),
            answer(Some("text/html")),
            answer(None),
        ];
        for (accept, expected) in [
            (None, 0),
            (Some("*/*"), 0),
            (Some("text/html"), 1),
            (Some("text/*;q=0.5, application/json;q=0.4"), 1),
            (Some("text/html, application/xhtml+xml, */*;q=0.8"), 1),
            (Some("application/json;q=0, */*"), 1),
            (Some("TEXT/HTML"), 1),
            (Some("image/png"), 2),
            (Some("image/*"), 2),
            (Some(""), 2),
            (Some("text/html;q=x"), 1),
        ] {
            let chosen = choose(&answers, accept.map(str::as_bytes));
            assert_eq!(chosen, Some(expected), "{accept:?}");
        }
        let typed = &answers[..2];
        assert_eq!(choose(typed, Some(b"image/png")), None);
    }
}
