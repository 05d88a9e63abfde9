//! Moments as RFC 3339 writes them, in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// With milliseconds: `2026-11-21T20:56:01.123Z`.
pub fn millis(time: SystemTime) -> String {
    format(time, 3)
}

/// With microseconds.
pub fn micros(time: SystemTime) -> String {
    format(time, 6)
}

fn format(time: SystemTime, digits: usize) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = format!("{:09}", since.subsec_nanos());
    let fraction = &fraction[..digits.min(9)];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction}Z")
}

/// Year, month and day of a day since 1970-01-01, by the Gregorian calendar: eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.123Z"),
            (951_782_399, "2000-02-28T23:59:59.123Z"),
            (951_782_400, "2000-02-29T00:00:00.123Z"),
            (951_868_800, "2000-03-01T00:00:00.123Z"),
            (1_795_294_561, "2026-11-21T20:56:01.123Z"),
            (4_107_542_400, "2100-03-01T00:00:00.123Z"),
        ] {
            assert_eq!(millis(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(123_456)), text);
        }
        assert_eq!(micros(UNIX_EPOCH + Duration::from_nanos(1_000)), "1970-01-01T00:00:00.000001Z");
    }
}
