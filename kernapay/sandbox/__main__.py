from kernapay.sandbox.cli import sandbox

if __name__ == "__main__":
    sandbox(prog_name="kernapay sandbox")
