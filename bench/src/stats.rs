//! Order statistics of a few numbers.

/// The median; of an even number the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The least. What else a machine does only ever adds to what something costs.
pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::min).unwrap_or(f64::NAN)
}

/// The value below which `share` of them lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let at = (share * values.len() as f64).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}

/// A figure and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The median of what was seen.
    pub value: f64,
    /// Its standard error, as of a normal distribution: 1.25 times the deviation, by the root of their number.
    pub error: f64,
}

/// The median of several figures for the same thing.
pub fn estimate(values: &[f64]) -> Estimate {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Estimate {
        value: median(values),
        error: 1.253 * (squares / (count - 1.0) / count).sqrt(),
    }
}

/// Takes out of the figures of several subjects, seen in the same rounds, what all of them have in common in a round: how fast the
/// machine is just then. What is left of each round is as if it were an average one.
pub fn level(subjects: &mut [Vec<f64>]) {
    let rounds = subjects.iter().map(Vec::len).max().unwrap_or(0);
    let middle = |round: usize, subjects: &[Vec<f64>]| {
        let seen: Vec<f64> = subjects
            .iter()
            .filter_map(|one| one.get(round).copied())
            .collect();
        median(&seen)
    };
    let middles: Vec<f64> = (0..rounds).map(|round| middle(round, subjects)).collect();
    let usual = median(&middles);
    for subject in subjects {
        for (figure, middle) in subject.iter_mut().zip(&middles) {
            *figure *= usual / middle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_statistics() {
        assert_eq!(least(&[3.0, 1.0, 2.0]), 1.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let mut hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&mut hundred, 0.99), 99.0);
        assert_eq!(percentile(&mut [7.0], 0.5), 7.0);
    }

    #[test]
    fn an_estimate_says_how_sure_it_is() {
        let seen = estimate(&[9.0, 10.0, 11.0]);
        assert_eq!(seen.value, 10.0);
        assert!((seen.error - 1.253 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(estimate(&[5.0; 4]).error, 0.0);
        assert!(estimate(&[5.0]).error.is_nan());
    }

    #[test]
    fn what_a_round_does_to_all_subjects_is_taken_out() {
        // The second round is half as fast for all, and one subject has no third round.
        let mut subjects = vec![
            vec![10.0, 20.0, 10.0],
            vec![12.0, 24.0, 12.0],
            vec![14.0, 28.0],
        ];
        level(&mut subjects);
        for (subject, expected) in subjects.iter().zip([10.0, 12.0, 14.0]) {
            assert!((subject[0] - expected).abs() < 1e-9);
            assert!((subject[1] - expected).abs() < 1e-9);
        }
    }
}
