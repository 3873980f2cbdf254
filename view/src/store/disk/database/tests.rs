//! Files that are fine, full, foreign and damaged.

use std::fs;

use super::*;
use crate::store::trace::Piece;

fn piece(number: u64) -> Op {
    Op::Add(Piece { number, bytes: vec![number as u8; 300].into() })
}

fn resource(number: u64) -> Op {
    Op::AddResource(number, vec![number as u8; 100].into())
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("traces.redb");
    (dir, path)
}

fn numbers(disk: &Disk) -> (Vec<u64>, Vec<u64>) {
    let numbers = |entries: Entries| entries.into_iter().map(|(number, _)| number).collect();
    (numbers(disk.pieces(0, usize::MAX).unwrap()), numbers(disk.resources().unwrap()))
}

#[test]
fn what_was_written_is_there_when_the_file_is_opened_again() {
    let (_dir, path) = file();
    let disk = Disk::open(&path).unwrap();
    assert_eq!(disk.next_numbers().unwrap(), (0, 0));
    disk.write(&[resource(0), piece(0), piece(1), piece(7), Op::Remove(1)]).unwrap();
    drop(disk);
    let disk = Disk::open(&path).unwrap();
    assert_eq!(numbers(&disk), (vec![0, 7], vec![0]));
    assert_eq!(disk.next_numbers().unwrap(), (8, 1));
    assert_eq!(disk.pieces(1, 1).unwrap()[0].1[..], [7; 300]);
}

#[test]
fn a_file_that_is_to_learn_everything_anew_holds_that_and_nothing_else() {
    let (_dir, path) = file();
    let disk = Disk::open(&path).unwrap();
    disk.write(&[resource(0), resource(1), piece(0), piece(1)]).unwrap();
    disk.replace(&[resource(1), resource(2), piece(1), piece(5)]).unwrap();
    assert_eq!(numbers(&disk), (vec![1, 5], vec![1, 2]));
}

#[test]
fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = file();
    drop(Disk::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_others_could_read_is_made_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_dir, path) = file();
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    drop(Disk::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn only_a_regular_file_under_its_own_name_is_used() {
    let (dir, path) = file();
    let problem = |path: &Path| Disk::open(path).err().expect("it cannot be used").to_string();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
    assert!(problem(&path).contains("symbolic link"), "{}", problem(&path));
    assert!(!dir.path().join("elsewhere").exists(), "a dangling link is not followed");
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    for path in [&fifo, &dir.path().to_owned(), &PathBuf::from("/dev/null")] {
        assert!(problem(path).contains("no regular file") && problem(path).contains("--store"), "{}", problem(path));
    }
}

#[test]
fn somebody_else_s_file_is_refused_and_left_as_it_is() {
    let (_dir, path) = file();
    fs::write(&path, "the user's own notes").unwrap();
    assert!(matches!(Disk::open(&path), Err(DiskError::Foreign)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "the user's own notes");
    fs::remove_file(&path).unwrap();
    let other = Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    assert!(matches!(Disk::open(&path), Err(DiskError::InUse)), "while it is open");
    drop(other);
    assert!(matches!(Disk::open(&path), Err(DiskError::Foreign)));
    assert!(path.exists());
}

#[test]
fn a_damaged_file_is_set_aside_and_another_is_begun() {
    let (dir, path) = file();
    let disk = Disk::open(&path).unwrap();
    let ops: Vec<Op> = (0..200).map(piece).collect();
    disk.write(&ops).unwrap();
    drop(disk);
    let whole = fs::read(&path).unwrap();
    let mut set_aside = 0;
    // Wherever it is damaged: it is noticed, or what it holds was not touched.
    for at in (MAGIC.len()..whole.len()).step_by(whole.len() / 60) {
        let mut damaged = whole.clone();
        damaged[at..].iter_mut().take(64).for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &damaged).unwrap();
        let disk = Disk::open(&path).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        let (pieces, _) = numbers(&disk);
        if pieces.is_empty() {
            set_aside += 1;
        } else {
            let read = disk.pieces(0, usize::MAX).unwrap();
            assert!(read.iter().all(|(number, bytes)| bytes[..] == [*number as u8; 300]), "byte {at}");
            assert_eq!(pieces.len(), 200, "byte {at}");
        }
        disk.write(&[piece(1000)]).unwrap();
    }
    let aside = fs::read_dir(dir.path()).unwrap().flatten();
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).count();
    assert!(set_aside > 5 && aside > 0, "{set_aside} times, {aside} files");
}

#[test]
fn a_file_that_was_cut_off_is_set_aside() {
    let (_dir, path) = file();
    let disk = Disk::open(&path).unwrap();
    disk.write(&(0..200).map(piece).collect::<Vec<_>>()).unwrap();
    drop(disk);
    let whole = fs::read(&path).unwrap();
    for length in [MAGIC.len(), 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let disk = Disk::open(&path).unwrap_or_else(|error| panic!("{length} bytes: {error}"));
        let found = numbers(&disk).0.len();
        assert!(found == 0 || found == 200, "{length} bytes: {found}");
    }
}
