//! Numbers for people. Programs get them plain.

/// A rate with three significant digits and a decimal prefix: `1.23M`, `45.6k`, `789`, `0`.
pub fn rate(value: f64) -> String {
    let value = value.max(0.0);
    let mut scaled = value;
    let mut prefix = "";
    for larger in ["k", "M", "G", "T"] {
        // 999.5 would be printed as 1000.
        if scaled < 999.5 {
            break;
        }
        scaled /= 1000.0;
        prefix = larger;
    }
    let digits = match scaled {
        _ if value == 0.0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{prefix}")
}

/// A number of bytes with a binary prefix: `64 B`, `4.0 KiB`, `142.0 MiB`.
pub fn bytes(value: u64) -> String {
    if value < 1024 {
        return format!("{value} B");
    }
    let mut scaled = value as f64;
    let mut prefix = "";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if scaled < 1023.95 {
            break;
        }
        scaled /= 1024.0;
        prefix = larger;
    }
    format!("{scaled:.1} {prefix}")
}

/// A time in seconds: `45s`, `12m05s`, `3h07m`, `2d04h`.
pub fn seconds(value: u64) -> String {
    let (minutes, hours, days) = (value / 60, value / 3600, value / 86400);
    match value {
        0..60 => format!("{value}s"),
        60..3600 => format!("{minutes}m{:02}s", value % 60),
        3600..86400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.5, "0.50"),
            (9.996, "10.0"),
            (42.0, "42.0"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (12_345.0, "12.3k"),
            (14_880_952.0, "14.9M"),
            (-1.0, "0"),
        ];
        for (value, text) in cases {
            assert_eq!(rate(value), text);
        }
    }

    #[test]
    fn sizes_and_times() {
        assert_eq!([bytes(0), bytes(1023), bytes(4096), bytes(1 << 30)], ["0 B", "1023 B", "4.0 KiB", "1.0 GiB"]);
        let times = [59, 725, 11_220, 187_200].map(seconds);
        assert_eq!(times, ["59s", "12m05s", "3h07m", "2d04h"]);
    }
}
