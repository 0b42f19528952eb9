from kernapay.cli import main

main()
