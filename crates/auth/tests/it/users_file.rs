//! Files of users: reading them, and changing one line.

use crate::words::groups;
use noctule_auth::password::{PasswordHash, Scheme};
use noctule_auth::users::{GroupsError, NameError, Users, remove, replace_hash, set_groups, set_hash};
use proptest::prelude::*;

fn hash(password: &str) -> PasswordHash {
    PasswordHash::with_scheme(Scheme::Sha512, password.as_bytes(), b"a fixed salt").expect("valid")
}

#[test]
fn users_have_passwords_and_groups() {
    let (anna, bert) = (hash("anna's"), hash("bert's"));
    let text = format!("# who\n\nanna:{anna}:operators, night \n bert : {bert}\r\nplc-7:!:sensors\n");
    let users = Users::parse("users", &text).expect("valid");
    assert_eq!(users.len(), 3);
    let user = users.get("anna").expect("is there");
    assert_eq!(
        (user.hash.as_deref(), &user.groups, user.line),
        (Some(&anna), &groups(&["operators", "night"]), 3)
    );
    let user = users.get("bert").expect("is there");
    assert_eq!((user.hash.as_deref(), &user.groups, user.line), (Some(&bert), &groups(&[]), 4));
    let user = users.get("plc-7").expect("is there");
    assert_eq!((user.hash.as_deref(), &user.groups), (None, &groups(&["sensors"])));
    assert!(users.get("carl").is_none() && users.get("").is_none());
}

#[test]
fn a_mistake_is_told_with_its_place() {
    let fine = hash("x");
    let cases = [
        ("anna".to_owned(), 1, "a line is `NAME:HASH`"),
        (format!(":{fine}"), 1, "the name of the user is missing"),
        ("anna:secret".to_owned(), 6, "noctule passwd"),
        ("anna:".to_owned(), 6, "noctule passwd"),
        ("änna: $7$0$AAAA$AAAA".to_owned(), 7, "iterations"),
        (format!("anna:{fine}:a,,b"), 1 + 5 + fine.to_string().len() as u32 + 1, "the name of a group"),
        (format!("first:{fine}"), 1, "\"first\" stands in line 1 already"),
    ];
    for (line, column, problem) in cases {
        let errors = Users::parse("users", &format!("first:{fine}\n{line}\n")).expect_err(&line);
        assert_eq!((errors.len(), errors[0].line, errors[0].column), (1, 2, column), "{}", errors[0]);
        assert!(errors[0].problem.contains(problem), "{}", errors[0]);
        assert!(!errors[0].to_string().contains("secret"), "a plain password is not repeated");
    }
}

/// Each of these was tried with mosquitto 2.0.11.
#[test]
fn mosquitto_passes_over_what_it_does_not_understand_and_the_last_line_counts() {
    let (old, new) = (hash("old"), hash("new"));
    let text =
        format!("dup:{old}\ndup:{new}\nplain:secret\nno colon\n  padded  : {new} \nthird:{new}:more\n");
    let (users, errors) = Users::parse_mosquitto("passwd", &text);
    assert_eq!(users.get("dup").and_then(|user| user.hash.as_deref()), Some(&new));
    assert!(users.get("padded").is_some() && users.get("plain").is_none());
    assert_eq!(users.get("third").map(|user| user.groups.is_empty()), Some(true));
    assert_eq!(errors.iter().map(|error| (error.line, error.column)).collect::<Vec<_>>(), [(3, 7)]);
}

#[test]
fn a_change_touches_one_line() {
    let (old, new) = (hash("old"), hash("new"));
    let text = format!("# anna:not her\r\n\tbert :{old}\r\n anna : {old} : a, b \r\n# end");
    let changed = set_hash(&text, "anna", &new).expect("a name");
    assert_eq!(changed, format!("# anna:not her\r\n\tbert :{old}\r\n anna : {new} : a, b \r\n# end"));
    let added = set_hash(&text, "carl", &new).expect("a name");
    assert_eq!(added, format!("{text}\ncarl:{new}\n"));
    assert_eq!(set_hash("", "carl", &new), Ok(format!("carl:{new}\n")));
    assert_eq!(remove(&text, "anna"), Some(format!("# anna:not her\r\n\tbert :{old}\r\n# end")));
    assert_eq!(remove(&text, "carl"), None);
}

#[test]
fn groups_are_given_and_taken_and_the_rest_stays() {
    let hash = hash("x");
    let text = format!("# bert:not him\n anna : {hash} : a, b \r\nbert:{hash}\ncarl:!");
    let bert = set_groups(&text, "bert", &["night", "plant 1"]).expect("groups");
    assert_eq!(bert, format!("# bert:not him\n anna : {hash} : a, b \r\nbert:{hash}:night,plant 1\ncarl:!"));
    let groups = |text: &str, name: &str| -> Vec<String> {
        let users = Users::parse("users", text).expect("a file of users");
        users.get(name).expect("a user").groups.iter().map(str::to_owned).collect()
    };
    assert_eq!(groups(&bert, "bert"), ["night", "plant 1"]);
    let anna = set_groups(&text, "anna", &["c"]).expect("groups");
    assert_eq!((groups(&anna, "anna"), groups(&anna, "bert")), (vec!["c".to_owned()], vec![]));
    assert_eq!(set_groups(&anna, "anna", &[]), Ok(text.replace(" : a, b ", " ")));
    assert_eq!(groups(&set_groups(&text, "carl", &["c"]).expect("groups"), "carl"), ["c"]);
    assert_eq!(set_groups(&text, "dora", &["c"]), Err(GroupsError::NoSuchUser));
    for group in ["", " a", "a,b", "a:b", "a\nb", "\u{1b}[31m"] {
        assert_eq!(set_groups(&text, "anna", &[group]), Err(GroupsError::Name { group: group.into() }));
    }
}

/// The last one is the one that counts.
#[test]
fn of_two_lines_for_a_user_the_last_one_is_changed() {
    let (old, new) = (hash("old"), hash("new"));
    let text = format!("anna:{old}\nanna:{old}\n");
    assert_eq!(set_hash(&text, "anna", &new), Ok(format!("anna:{old}\nanna:{new}\n")));
    assert_eq!(remove(&text, "anna"), Some(format!("anna:{old}\n")));
}

#[test]
fn a_hash_is_replaced_only_if_nobody_was_faster() {
    let (old, new, other) = (hash("old"), hash("new"), hash("other"));
    let text = format!("anna:{old}:a\nbert:{old}\n");
    assert_eq!(replace_hash(&text, "anna", &old, &new), Some(format!("anna:{new}:a\nbert:{old}\n")));
    assert_eq!(replace_hash(&text, "anna", &other, &new), None);
    assert_eq!(replace_hash(&text, "carl", &old, &new), None);
}

#[test]
fn a_name_that_cannot_stand_in_the_file_is_refused() {
    for name in ["", "#x", "a:b", "a\nb", " a", "a ", "a\u{0}"] {
        assert_eq!(set_hash("", name, &hash("x")), Err(NameError), "{name:?}");
    }
}

proptest! {
    #[test]
    fn what_was_set_is_read_and_every_other_line_stays(
        lines in prop::collection::vec("(#[ a-c:]{0,6}|[a-c ]{1,3}:!?(:[gh,]{0,3})?|[a-c]{0,2})", 0..6),
        name in "[a-c]{1,2}",
        ends in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let text: String = lines.iter().map(|line| format!("{line}{ends}")).collect();
        let new = hash("new");
        let changed = set_hash(&text, &name, &new).expect("a name");
        let (users, _) = Users::parse_mosquitto("users", &changed);
        prop_assert_eq!(users.get(&name).and_then(|user| user.hash.as_deref()), Some(&new), "{:?}", changed);
        let before: Vec<&str> = text.lines().collect();
        let after: Vec<&str> = changed.lines().collect();
        let differing = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        prop_assert_eq!(differing + after.len() - before.len(), 1, "{:?} {:?}", text, changed);
        let removed = remove(&changed, &name).expect("was set");
        prop_assert_eq!(removed.lines().count(), after.len() - 1);
    }
}
