//! The limit of open files.

use noctule_transport::raise_open_file_limit;

#[test]
fn the_soft_limit_reaches_the_hard_one_and_stays() {
    let raised = raise_open_file_limit();
    assert_eq!(raised.soft, raised.hard);
    assert!(raised.soft > 0);
    assert_eq!(raise_open_file_limit(), raised);
}
