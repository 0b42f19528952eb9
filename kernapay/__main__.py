from kernapay.commands.main import main

main()
