/// Where the data volume is mounted, and the folders in it. The mount itself is root's, so that the runtime cannot put another folder in another's place.
struct VolumeFolders {
  let mount: String
  /// The runtime's.
  let state: String
  /// Root's: everyone may read it.
  let audit: String
  /// Root's: nobody else may enter it.
  let supervisor: String
}
