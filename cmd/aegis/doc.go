// Aegis is the command line of the aegis storage engine.
//
//	aegis get          print the value of a key
//	aegis put          set the value of a key
//	aegis delete       remove keys, or all with a prefix
//	aegis scan         print the entries of a range, in order
//	aegis keyspaces    list, make and drop keyspaces
//	aegis stats        print what a store holds, and its figures
//	aegis check        read all that is stored, and name what is damaged
//	aegis compact      merge all tables into one run, without what was overwritten
//	aegis dump         write all that a store holds into one stream
//	aegis load         put what a stream, JSON lines or CSV hold into a store
//	aegis backup       write a backup of a store, full or since another one
//	aegis backup-info  describe a backup, and check it
//	aegis restore      make a new store of a backup and those since it
//	aegis checkpoint   make a second store of the same contents, by hard links
//	aegis salvage      copy what is sound of a damaged store into a new one
//	aegis inspect      show what is in a store's files, damaged ones too
//	aegis bench        measure the standard workloads on this disk
//	aegis config       print and check configuration files
//	aegis sim          crash-test the engine in a simulated world
//	aegis completion   write the completion script of a shell
//	aegis version      print which build this is
//	aegis help         explain a command
//
// Below aegis sim:
//
//	aegis sim run         simulate random runs of the store and check them
//	aegis sim replay      run a token again and tell what happened
//	aegis sim shrink      find a smaller run that fails in the same way
//	aegis sim regress     write a Go test that replays a token
//	aegis sim profiles    list the disks that can be simulated
//	aegis sim modes       list the workloads that can be simulated
//	aegis sim explore     visit every crash point, or every schedule, of one small run
//	aegis sim scorecard   plant bugs in the engine and see whether the simulator finds them
//	aegis sim prove       show that runs are the same in every process
//	aegis sim hashes      print a hash of each run
//
// What a command is asked for goes to standard output, what it says about its work to standard
// error. With --json the output is one JSON document, or a line for each of many.
//
// # Exit codes
//
//	0    all is well
//	1    it is not as it should be: a key is not there, bytes are damaged, a simulated run failed
//	2    the command line is wrong, or what is needed is not there or cannot be read or written
//	3    sim run --require-coverage: nothing failed, but a rare path was never taken
//	4    another process has the store open
//	130  interrupted, with nothing found until then
//	141  nobody reads the output any more, as with | head
package main
