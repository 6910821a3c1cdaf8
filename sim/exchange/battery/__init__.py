"""One battery of numbered cases, played against the double and, by hand, against the testnet: do both answer alike?"""
