//! How numbers are written where the user lives: what stands before those of other countries, and of other towns.
//!
//! Owns the table (ITU-T E.164 and the countries' numbering plans). What is not in it is treated as unknown,
//! which costs certainty and nothing else.

use std::env;

use serde::{Deserialize, Deserializer, de::Error};

/// A country's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// `49`.
    pub code: &'static str,
    /// What stands before a number that is complete within the country; it is not dialled from abroad.
    pub trunk: Trunk,
    /// What stands in the place of the `+`.
    pub abroad: &'static str,
}

/// How a complete national number begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trunk {
    /// With these digits.
    Prefix(&'static str),
    /// As it is: every number is complete.
    None,
    /// North America: ten digits, or eleven that begin with 1.
    Ten,
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(read: D) -> Result<Region, D::Error> {
        let country = String::deserialize(read)?;
        let unknown =
            || D::Error::custom(format!("{country:?} is no country; write two letters as \"DE\""));
        of_country(&country.trim().to_ascii_uppercase()).ok_or_else(unknown)
    }
}

/// The region of this country (ISO 3166, `DE`).
pub fn of_country(country: &str) -> Option<Region> {
    // Reserved, and not assigned, for whoever writes it so.
    let country = if country == "UK" { "GB" } else { country };
    let is = |names: &str| names.split(' ').any(|name| name == country);
    if is(NORTH_AMERICA) {
        return Some(Region { code: "1", trunk: Trunk::Ten, abroad: "011" });
    }
    let mut entries = CODES.split(' ').filter_map(|entry| entry.split_at_checked(2));
    let (_, code) = entries.find(|(name, _)| *name == country)?;
    let trunk = match country {
        "HU" => Trunk::Prefix("06"),
        "RU" | "KZ" | "BY" | "TM" => Trunk::Prefix("8"),
        _ if is(COMPLETE) => Trunk::None,
        _ => Trunk::Prefix("0"),
    };
    let abroad = match country {
        "AU" => "0011",
        "JP" => "010",
        "RU" | "KZ" | "BY" | "TM" => "810",
        "HK" | "SG" | "TH" | "KH" | "KR" | "ID" => "001",
        "TW" => "002",
        "KE" | "TZ" | "UG" => "000",
        "CU" => "119",
        _ => "00",
    };
    Some(Region { code, trunk, abroad })
}

/// The country of the environment's locale, `de_AT.UTF-8`.
pub fn of_environment() -> Option<Region> {
    let variable = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    let locale = ["LC_ALL", "LC_TELEPHONE", "LANG"].into_iter().find_map(variable)?;
    of_country(locale.split(['.', '@']).next()?.split_once('_')?.1)
}

/// Those of the North American plan.
const NORTH_AMERICA: &str =
    "US CA AG AI AS BB BM BS DM DO GD GU JM KN KY LC MP MS PR SX TC TT VC VG VI";

/// Those whose numbers are always complete; of some the first 0 is a part of the number.
const COMPLETE: &str = "AD BH BJ CG CI CR CY CZ DJ DK EE ES GA GR GT HK HN IS IT KW LI LU LV MC MO MT MX NI \
    NO OM PA PL PT QA SG SM SV TN VA";

const CODES: &str = "AC247 AD376 AE971 AF93 AL355 AM374 AO244 AR54 AT43 AU61 AW297 AX358 AZ994 BA387 BD880 BE32 \
    BF226 BG359 BH973 BI257 BJ229 BN673 BO591 BR55 BT975 BW267 BY375 BZ501 CD243 CF236 CG242 CH41 CI225 CK682 CL56 \
    CM237 CN86 CO57 CR506 CU53 CV238 CW599 CY357 CZ420 DE49 DJ253 DK45 DZ213 EC593 EE372 EG20 ER291 ES34 ET251 \
    FI358 FJ679 FK500 FM691 FO298 FR33 GA241 GB44 GE995 GF594 GG44 GH233 GI350 GL299 GM220 GN224 GP590 GQ240 \
    GR30 GT502 GW245 GY592 HK852 HN504 HR385 HT509 HU36 ID62 IE353 IL972 IM44 IN91 IQ964 IR98 IS354 IT39 JE44 JO962 \
    JP81 KE254 KG996 KH855 KI686 KM269 KP850 KR82 KW965 KZ7 LA856 LB961 LI423 LK94 LR231 LS266 LT370 LU352 LV371 \
    LY218 MA212 MC377 MD373 ME382 MG261 MH692 MK389 ML223 MM95 MN976 MO853 MQ596 MR222 MT356 MU230 MV960 MW265 \
    MX52 MY60 MZ258 NA264 NC687 NE227 NG234 NI505 NL31 NO47 NP977 NR674 NU683 NZ64 OM968 PA507 PE51 PF689 PG675 \
    PH63 PK92 PL48 PM508 PS970 PT351 PW680 PY595 QA974 RE262 RO40 RS381 RU7 RW250 SA966 SB677 SC248 SD249 SE46 SG65 \
    SH290 SI386 SK421 SL232 SM378 SN221 SO252 SR597 SS211 ST239 SV503 SY963 SZ268 TD235 TG228 TH66 TJ992 TK690 \
    TL670 TM993 TN216 TO676 TR90 TV688 TW886 TZ255 UA380 UG256 UY598 UZ998 VA39 VE58 VN84 VU678 WF681 WS685 XK383 \
    YE967 YT262 ZA27 ZM260 ZW263";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn countries() {
        let code = |country| of_country(country).map(|region| region.code);
        assert_eq!(
            ["DE", "GB", "UK", "US", "ZW", "AC"].map(code),
            [Some("49"), Some("44"), Some("44"), Some("1"), Some("263"), Some("247")]
        );
        assert_eq!(["XX", "", "D", "DE4"].map(code), [None; 4]);
        assert_eq!(of_country("IT").unwrap().trunk, Trunk::None);
        assert_eq!(of_country("HU").unwrap().trunk, Trunk::Prefix("06"));
    }

    #[test]
    fn the_table_is_well_formed() {
        for entry in CODES.split(' ') {
            let (country, code) = entry.split_at(2);
            assert!(country.bytes().all(|byte| byte.is_ascii_uppercase()), "{entry}");
            assert!(
                (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit()),
                "{entry}"
            );
        }
        let known = |country: &str| of_country(country).is_some();
        assert!(COMPLETE.split(' ').chain(NORTH_AMERICA.split(' ')).all(known));
    }
}
