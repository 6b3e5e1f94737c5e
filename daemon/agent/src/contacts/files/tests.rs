//! Folders on a real disk, as khard, vdirsyncer and an export lay them out.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use super::*;
use callarbiter_lists::region::of_country;

fn write(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

fn card(name: &str, phone: &str) -> String {
    format!("BEGIN:VCARD\nVERSION:3.0\nUID:uid-{name}\nFN:{name}\nTEL:{phone}\nEND:VCARD\n")
}

fn who(files: &Files, handle: &str) -> Option<String> {
    files.look_up(&Reach::of_uri(handle, files.region)).map(|(found, _)| found.name)
}

#[test]
fn what_changes_is_read_again_and_nothing_else() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("contacts");
    let mut files = Files::new(vec![folder.clone()], of_country("DE"));
    assert!(files.lacks_folders() && files.refresh().is_empty());
    write(&folder, "home/default/1.vcf", &card("Ada", "+49 30 12345678"));
    write(&folder, "all.VCF", &(card("Emmy", "09131 85123") + &card("Kurt", "+43 660 1234567")));
    write(&folder, ".hidden.vcf", &card("Nobody", "+49 30 12345678"));
    write(&folder, "notes.txt", &card("Nobody", "+49 30 12345678"));
    assert_eq!(files.refresh().len(), 3, "folders");
    assert_eq!(who(&files, "tel:030-12345678").as_deref(), Some("Ada"));
    assert_eq!(who(&files, "tel:+49913185123").as_deref(), Some("Emmy"));
    assert_eq!(who(&files, "sip:+436601234567@x;user=phone").as_deref(), Some("Kurt"));

    let kept = files.files.get(&folder.join("all.VCF")).unwrap().cards.first().unwrap().clone();
    write(&folder, "home/default/1.vcf", &card("Countess Ada", "+49 30 12345678"));
    files.refresh();
    assert_eq!(who(&files, "tel:030-12345678").as_deref(), Some("Countess Ada"));
    assert!(Arc::ptr_eq(
        &kept,
        files.files.get(&folder.join("all.VCF")).unwrap().cards.first().unwrap()
    ));
    fs::remove_file(folder.join("home/default/1.vcf")).unwrap();
    files.refresh();
    assert_eq!(who(&files, "tel:030-12345678"), None);
}

#[test]
fn the_likest_counts_and_doubt_is_nobody() {
    let top = tempfile::tempdir().unwrap();
    write(top.path(), "1.vcf", &(card("Berlin", "+49 30 7654321") + &card("Here", "7654321")));
    write(top.path(), "2.vcf", &(card("One", "5551234") + &card("Two", "5551234")));
    write(top.path(), "3.vcf", &(card("Twice", "5559999") + &card("Twice", "5559999")));
    let mut files = Files::new(vec![top.path().to_owned()], of_country("DE"));
    files.refresh();
    assert_eq!(who(&files, "tel:+49307654321").as_deref(), Some("Berlin"));
    assert_eq!(who(&files, "tel:+49897654321").as_deref(), Some("Here"));
    assert_eq!(who(&files, "tel:+49895551234"), None);
    assert_eq!(
        who(&files, "tel:5551234").as_deref(),
        Some("One"),
        "the same number: the first by name"
    );
    assert_eq!(who(&files, "tel:+49895559999").as_deref(), Some("Twice"));
}

#[test]
fn a_hundred_thousand_contacts_are_looked_up_fast() {
    let top = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for nth in 0..100_000 {
        all += &card(&format!("Person {nth}"), &format!("+49 (30) {:08}", nth * 997));
    }
    write(top.path(), "all.vcf", &all);
    let mut files = Files::new(vec![top.path().to_owned()], of_country("DE"));
    files.refresh();
    assert_eq!(files.index.len(), 100_000);
    let begin = Instant::now();
    for nth in (0..100_000).step_by(1_000) {
        let name = who(&files, &format!("tel:030{:08}", nth * 997));
        assert_eq!(name, Some(format!("Person {nth}")));
    }
    let took = begin.elapsed();
    // A hundred look-ups; walking through all cards once would take longer than all of them.
    assert!(took.as_millis() < 100, "{took:?}");
}
